"""Worker processes: equal to one process, and gone when they should be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
import torch

pytest.importorskip("gymnasium")

import tasks.gymnasium.vectorization
from epo.envs import EnvError
from tasks.gymnasium.config import GymnasiumCfg
from tasks.gymnasium.env import GymnasiumEnv
from tasks.gymnasium.environments import sample
from tasks.gymnasium.guard import Guard
from tasks.gymnasium.vectorization import choose_workers, step_s
from tasks.gymnasium.workers import WorkerPool
from tests.composed import REPOSITORY
from tests.tasks.gymnasium.small_env import make, run
from tests.tasks.gymnasium.toys import TOYS


def workers_of(env: GymnasiumEnv) -> WorkerPool:
    assert isinstance(env._stepper, WorkerPool)
    return env._stepper


def test_workers_equal_one_process_bit_for_bit():
    """LunarLander: engine and wind are drawn, episodes end early under random choices."""
    pytest.importorskip("Box2D")
    generator = torch.Generator().manual_seed(0)
    actions = torch.randint(4, (200, 5, 1), generator=generator).float()
    runs = []
    for vectorization, num_workers in (("sync", 1), ("async", 3)):
        cfg = GymnasiumCfg(
            env_id="LunarLander-v3", vectorization=vectorization, num_workers=num_workers
        )
        env = GymnasiumEnv(cfg, 5, torch.device("cpu"), seed=3)
        seen = [env.reset().clone()]
        for action in actions:
            step = env.step(action)
            seen += [step.observation.clone(), step.reward, step.metrics["fitness"]]
            seen += [step.terminated.clone(), step.final_observation.clone()]
        env.close()
        runs.append(seen)
    assert sum(int(x.sum()) for x in runs[0] if x.dtype == torch.bool) > 5  # episodes ended
    assert all(torch.equal(a, b) for a, b in zip(*runs))


def test_failure_in_a_worker_is_one_line_with_the_traceback_behind_it():
    env = make("Broken-v0", vectorization="async", num_workers=2)
    with pytest.raises(
        EnvError, match=r"^environment 0 of .* in step: Arith.* too much \(step 3 "
    ) as error:
        run(env, 3)
    failure = error.value.__cause__
    assert failure is not None and "toys.py" in str(failure.__cause__)
    env.close()


def test_death_of_a_worker_names_its_environments():
    env = make("Broken-v0", vectorization="async", num_workers=1, kwargs={"fails_in": "kill"})
    for num_steps in (3, 1):  # it stays dead
        with pytest.raises(EnvError, match=r"environments 0 to 2 of .* \(exit code -9\); short of"):
            run(env, num_steps)
    env.close()


def test_workers_survive_the_signals_of_a_terminal():
    env = make("Counting-v0", vectorization="async", num_workers=1)
    pid = workers_of(env)._shares[0].process.pid
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(pid, number)
    assert run(env, 1)[0].reward.tolist() == [2.0] * 3
    env.close()


def test_close_ends_the_workers():
    env = make("Counting-v0", vectorization="async", num_workers=2)
    processes = [share.process for share in workers_of(env)._shares]
    env.close()
    assert [process.exitcode for process in processes] == [0, 0]


FORGETFUL = """
import os, sys
import numpy as np
from tasks.gymnasium.buffers import Layout
from tasks.gymnasium.config import GymnasiumCfg
from tasks.gymnasium.workers import WorkerPool

if __name__ == "__main__":
    number = np.dtype(np.float32)
    layout = Layout(3, 2, number, 2, number)
    cfg = GymnasiumCfg(env_id="tests.tasks.gymnasium.toys:Counting-v0")
    WorkerPool(cfg, layout, layout.allocate(), 2)
    print("started", flush=True)
    if sys.argv[1] == "kill":
        os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize(
    ("end", "code"), [pytest.param("exit", 0, marks=pytest.mark.slow), ("kill", -9)]
)
def test_workers_end_with_a_process_that_does_not_close(tmp_path, end: str, code: int):
    script = tmp_path / "forgetful.py"
    script.write_text(FORGETFUL)
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    # The workers hold its standard output: reading that to the end waits for theirs.
    done = subprocess.run(
        [sys.executable, str(script), end], env=environ, stdout=subprocess.PIPE, timeout=120
    )
    assert (done.returncode, done.stdout) == (code, b"started\n")


@pytest.mark.parametrize(
    ("vectorization", "num_workers", "cost_s", "expected"),
    [
        ("auto", 2, 1.0, 2),
        ("auto", 8, 1e-4, 0),  # 0.8 ms for 8 environments: not worth it
        ("auto", 8, 4e-4, 8),  # 3.2 ms: 10 would be best, by sqrt(3.2e-3 / 3e-5)
        ("auto", 64, 1.0, 8),  # one environment each
        ("auto", 1, 1.0, 0),  # nobody to share with
        ("async", 2, 0.0, 2),
        ("async", 64, 0.0, 8),
        ("sync", 2, 1.0, 0),
    ],
)
def test_auto_takes_workers_where_steps_are_long(
    monkeypatch, vectorization: str, num_workers: int, cost_s: float, expected: int
):
    monkeypatch.setattr(tasks.gymnasium.vectorization, "step_s", lambda env, guard: cost_s)
    cfg = GymnasiumCfg(
        env_id=f"{TOYS}Counting-v0", vectorization=vectorization, num_workers=num_workers
    )
    guard = Guard(cfg)
    with sample(cfg, guard) as env:
        assert choose_workers(cfg, 8, env, guard) == expected


def test_time_of_a_step_is_measured_and_failure_left_to_the_environments():
    for env_id, least_s, most_s in (("CartPole-v1", 1e-9, 0.1), (f"{TOYS}Broken-v0", 0.0, 0.0)):
        cfg = GymnasiumCfg(env_id=env_id)
        guard = Guard(cfg)
        with sample(cfg, guard) as env:
            assert least_s <= step_s(env, guard) <= most_s


def test_workers_start_without_torch():
    """Torch takes seconds to import, and some 200 MB in every worker."""
    code = "import sys, train, tasks.gymnasium.workers; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)
