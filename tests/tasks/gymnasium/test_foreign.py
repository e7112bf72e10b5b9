"""Environments that misbehave: what is said, what survives, and when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Iterable, List

import numpy as np
import pytest
import torch

pytest.importorskip("gymnasium")

from epo.envs import EnvError
from epo.runner.checkpoint import plain
from tasks.engines.config import AutoCfg
from tasks.gymnasium import guard
from tasks.gymnasium.config import GymnasiumCfg
from tasks.gymnasium.env import GymnasiumEnv, env_seeds
from tasks.gymnasium.interface import interface
from tasks.registry import check
from tests.composed import REPOSITORY
from tests.tasks.gymnasium.bad import BAD
from tests.tasks.gymnasium.small_env import CPU, run

WORKERS: Any = {"vectorization": "async", "num_workers": 2}


def make(name: str, *, num_envs: int = 3, **settings: Any) -> GymnasiumEnv:
    settings.setdefault("vectorization", "sync")
    return GymnasiumEnv(GymnasiumCfg(env_id=f"{BAD}{name}-v0", **settings), num_envs, CPU, 0)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for_end(pids: Iterable[int], limit_s: float = 20.0) -> List[int]:
    """Return those that are still alive after the limit."""
    end_s = time.monotonic() + limit_s
    pids = [int(pid) for pid in pids]
    while any(map(is_alive, pids)) and time.monotonic() < end_s:
        time.sleep(0.05)
    return [pid for pid in pids if is_alive(pid)]


@pytest.mark.parametrize("kind", ["legacy", "none", "raises"])
def test_strange_random_numbers_are_unknown(kind: str):
    env = make("LegacyGenerator", kwargs={"kind": kind})
    env.reset()
    run(env, 2)
    state = plain(env.state_dict())
    assert state["generators"] == [None] * 3
    env.load_state_dict(state)
    assert not run(env, 2)[1].terminated.any()


def test_seeds_fit_31_bits():
    make("SmallSeeds")
    seeds = np.array(env_seeds(0, 1000))
    assert seeds.max() < 2**31 and (seeds > 2**30).any() and len(set(seeds)) == 1000


@pytest.mark.parametrize("settings", [{}, WORKERS], ids=["here", "workers"])
def test_failure_to_close_is_a_warning(settings: Any, caplog, capfd):
    env = make("Unclosable", **settings)
    run(env, 1)
    env.close()
    said = caplog.text + capfd.readouterr().err
    assert "failed in close: OSError: the door is stuck (and" in said


def test_closing_has_a_limit(monkeypatch, caplog):
    monkeypatch.setattr(guard, "CLOSE_S", 0.1)
    start_s = time.monotonic()
    make("Unclosable", kwargs={"how": "hangs"}, num_envs=50).close()
    assert time.monotonic() - start_s < 5.0
    assert "environment 0 of" in caplog.text and "does not answer in close: more" in caplog.text


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({}, r"env_id=.* cannot be built \(TypeError: .*map_file.*; its .*task\.kwargs\.<name>"),
        ({"map_file": "x.txt"}, r"cannot be built \(FileNotFoundError: .*x\.txt.*task\.kwargs"),
        ({"map_file": "", "kind": "runtime"}, r"cannot be built \(RuntimeError\); its arg"),
        ({"map_file": "", "kind": "exit"}, r"cannot be built \(SystemExit: 3\); its arg"),
        ({"size": 3}, r"task\.kwargs=\{'size': 3\} .*unexpected keyword argument 'size'"),
    ],
)
@pytest.mark.parametrize("build", ["interface", "environments"])
def test_environment_that_cannot_be_built_is_a_wrong_setting(build: str, kwargs: Any, message: str):
    cfg = GymnasiumCfg(env_id=f"{BAD}Unbuildable-v0", kwargs=kwargs)
    with pytest.raises(ValueError, match=message) as error:
        interface(cfg) if build == "interface" else make("Unbuildable", kwargs=kwargs)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 / 0", r"cannot import \w+: ZeroDivisionError: division by zero$"),
        ("import no_such_module", r"ModuleNotFoundError: .*no_such_module.*; install what it"),
        ("raise SystemExit(1)", r"cannot import \w+: SystemExit: 1$"),
        ("def f(:", r"cannot import \w+: SyntaxError: "),
    ],
)
def test_module_that_raises_on_import_is_a_wrong_setting(
    monkeypatch, tmp_path, text: str, message: str
):
    (tmp_path / "raising_on_import.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match=message) as error:
        check(GymnasiumCfg(env_id="raising_on_import:X-v0"), AutoCfg())
    assert "\n" not in str(error.value)


def test_module_in_the_current_folder_is_found(monkeypatch, tmp_path):
    name = "module_of_this_folder"
    (tmp_path / f"{name}.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('Here-v0', entry_point='tests.tasks.gymnasium.bad:SmallSeeds')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(REPOSITORY))  # puts all of sys.path back at the end
    sys.path[:] = [place for place in sys.path if place not in ("", str(tmp_path))]
    check(GymnasiumCfg(env_id=f"{name}:Here-v0"), AutoCfg())
    del sys.modules[name]


def test_surroundings_are_ours_again_after_every_call():
    def surroundings() -> Any:
        number = signal.getsignal(signal.SIGTERM)
        ours = (os.getcwd(), torch.get_default_dtype(), torch.is_grad_enabled())
        return (*ours, torch.get_num_threads(), np.geterr(), number)

    before = surroundings()
    env = make("Changing", num_envs=1)
    assert surroundings() == before
    env.reset()
    run(env, 2)
    assert surroundings() == before
    env.close()


ONE_FOR_THREE: Any = {"observation": np.ones(1)}
WRONG_VALUES: Any = [
    (ONE_FOR_THREE, r"step: the observation has shape \[1\], it must have \[3\] \(step 3 of"),
    ({"observation": "text"}, r"step: the observation is not an array of numbers \(str\)"),
    ({"observation": None}, r"step: the observation is not an array of numbers \(NoneType\)"),
    ({"observation": [[1], [2, 3]]}, r"step: the observation is not an array of numbers \(list\)"),
    ({"observation": np.array([0, np.nan, 0])}, r"-v0: the observation\[1\] is nan, .*finite"),
    ({"observation": np.array([0, 0, 1e30])}, r": the observation\[2\] is 1e\+30, .* most 1e\+18"),
    ({"reward": np.ones(2)}, r"step: the reward has shape \[2\]"),
    ({"reward": None}, r"step: the reward is not an array of numbers \(NoneType\)"),
    ({"reward": float("nan")}, r"Values-v0: the reward is nan, it must be finite"),
    ({"reward": -1e300}, r"the reward is -1e\+300, .* \(step 3 of its episode, 3 of the run\)$"),
    ({"terminated": np.ones(2, bool)}, r"step: terminated has shape \[2\]"),
    ({"is_old": True}, r"step: ValueError: not enough values.* old gym \(step 1 of"),
]


@pytest.mark.parametrize(("values", "message"), WRONG_VALUES)
def test_wrong_values_are_named_with_environment_and_step(values: Any, message: str):
    env = make("Values", kwargs=values)
    env.reset()
    with pytest.raises(EnvError, match=rf"^environment 0 of .*{message}") as error:
        run(env, 3)
    assert "\n" not in str(error.value)
    assert len(env.state_dict()["generators"]) == 3  # what was learned can be saved
    env.close()


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_values_from_workers_are_checked_as_well():
    env = make("Values", kwargs={"observation": np.array([0, 1e300, 0])}, **WORKERS)
    env.reset()
    with pytest.raises(EnvError, match=r"^environment 0 of .* the observation\[1\] is inf"):
        run(env, 3)
    env.close()


def test_single_numbers_in_arrays_are_taken():
    env = make("Values", kwargs={"reward": np.full((1, 1), 7.0), "terminated": np.array([True])})
    env.reset()
    step = run(env, 3)[2]
    assert step.reward.tolist() == [7.0] * 3 and step.terminated.all()


def test_steps_count_on_after_a_resume():
    env = make("Values", kwargs=ONE_FOR_THREE)
    env.reset()
    run(env, 2)
    state = env.state_dict()
    env = make("Values", kwargs=ONE_FOR_THREE)
    env.reset()
    env.load_state_dict(state)
    with pytest.raises(EnvError, match=r"\(step 3 of its episode, 5 of the run\)$"):
        run(env, 4)


@pytest.mark.parametrize(
    ("phase", "is_in_worker", "is_stubborn"),
    [
        ("construction", False, False),
        ("reset", False, False),
        ("step", False, False),
        ("step", True, False),
        ("reset", True, True),
        ("step", True, True),
    ],
)
def test_hung_environment_is_named_after_its_time(
    phase: str, is_in_worker: bool, is_stubborn: bool
):
    kwargs = {"phase": phase, "is_stubborn": is_stubborn}
    settings: Any = {"vectorization": "async", "num_workers": 1} if is_in_worker else {}
    name = "task.step_timeout_s" if phase == "step" else "task.start_timeout_s"
    message = rf"Hanging-v0 does not answer in {phase}: more than 0\.4 s \({name}\)"
    limits: Any = {"step_timeout_s": 0.4, "start_timeout_s": 30.0}
    if phase != "step":
        limits = {"step_timeout_s": 0.4, "start_timeout_s": 0.4}
        if settings:  # a worker takes longer than this to import Gymnasium
            limits["start_timeout_s"] = 0.4
    start_s = time.monotonic()
    with pytest.raises((EnvError, ValueError), match=message):
        env = make("Hanging", **{**settings, **limits, "kwargs": kwargs})
        env.reset()
        try:
            run(env, 2)
        finally:
            assert len(env.state_dict()["generators"]) == 3
            env.close()
    assert time.monotonic() - start_s < 30.0


def test_environments_may_start_processes_which_end_with_the_workers():
    env = make("Parent", num_envs=2, **WORKERS)
    pids = env.reset().flatten().tolist()
    assert all(is_alive(int(pid)) for pid in pids)
    run(env, 6)
    env.close()
    assert not wait_for_end(pids)


def test_forked_processes_stop_at_sigterm_although_the_run_handles_it():
    """Else the environment's own `close` waits for ever."""
    from epo.runner.guard import StopSignal

    with StopSignal():
        env = make("Parent", num_envs=1)
        _, child, program = (int(pid) for pid in env.reset().flatten().tolist())
        env.close()
        assert not wait_for_end([child, program])


def test_signal_that_comes_before_a_forked_copy_is_set_up_is_not_lost():
    """As on a machine that is too busy to run the copy at once."""
    from epo.runner.guard import StopSignal

    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with StopSignal():
        for _ in range(10):
            pid = os.fork()
            if pid == 0:
                time.sleep(1.0)
                os._exit(0)
            os.kill(pid, signal.SIGTERM)
            _, status = os.waitpid(pid, 0)
            assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGTERM
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


KILLED = """
import os, threading

if __name__ == "__main__":  # here, to spare the workers the imports
    import torch
    from tests.tasks.gymnasium.test_foreign import WORKERS, make

    env = make("Parent", num_envs=2, kwargs={"hangs": True}, **WORKERS)
    print(*(int(pid) for pid in env.reset().flatten().tolist()), flush=True)
    threading.Timer(0.5, os.kill, (os.getpid(), 9)).start()
    env.step(torch.zeros(2, 1))
"""


@pytest.mark.slow
def test_hung_workers_and_their_children_die_with_a_killed_parent(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        timeout=120,
    )
    pids = [int(word) for word in done.stdout.split()]
    assert done.returncode == -signal.SIGKILL and len(pids) == 6
    assert not wait_for_end(pids)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), 1e9])
def test_time_limits_have_a_range(value: float):
    for name in ("step_timeout_s", "start_timeout_s"):
        settings: Any = {name: value}
        with pytest.raises(ValueError, match=rf"task\.{name}=.* above 0 and below"):
            check(GymnasiumCfg(env_id="CartPole-v1", **settings), AutoCfg())
