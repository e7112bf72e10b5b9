"""A run that fails: what is kept, what is written down, and that both are exact."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Dict

import pytest
import torch
from torch import Tensor

from epo.config import Config, GuardCfg
from epo.envs import Step, VecEnv
from epo.learner.ppo import PPO
from epo.record.csv import rows
from epo.runner import checkpoint, flight_recorder
from epo.runner.flight_recorder import FlightRecorder
from epo.runner.run import run
from epo.runner.run_folder import RunFolder
from tests.composed import composed
from tests.runner.test_run import RUN, make_env, summary

TIMES = {"wall_s", "fps", "sim_s", "learn_s", "act_s"}
HORIZON = 16


class Faulty:
    """The environments of `make_env`, until control step `at` of the session.

    Args:
        env: the sound ones.
        at: control step, from 0, in which something happens.
        fault: gets the sound step and gives the one to hand out, or raises.
    """

    def __init__(self, env: VecEnv, at: int, fault: Any) -> None:
        self._env, self._at, self._fault, self._num_steps = env, at, fault, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def step(self, action: Tensor) -> Step:
        step = self._env.step(action)
        self._num_steps += 1
        return self._fault(step) if self._num_steps == self._at + 1 else step


def crash(step: Step) -> Step:
    raise RuntimeError("the gripper\nmelted")


def leave(step: Step) -> Step:
    sys.exit(3)


def bad_reward(step: Step) -> Step:
    reward = step.reward.clone()
    reward[[9, 11]] = float("nan")
    return step._replace(reward=reward)


def bad_observation(step: Step) -> Step:
    observation = step.observation.clone()
    observation[5, 1] = float("inf")
    return step._replace(observation=observation)


def start(run_dir: Path, *overrides: str, fault: Any = None, at: int = 0) -> int:
    """Train 4 iterations of 16 steps; only the last checkpoint is due."""
    settings = ["max_iterations=4", "record.checkpoint_interval=100", *overrides]

    def make(cfg: Config) -> Any:
        env = make_env(cfg)
        return env if fault is None else Faulty(env, at, fault)

    cfg = composed(*RUN, *settings)  # without run_dir: composed once
    cfg.run_dir = str(run_dir)
    return run(cfg, make)


def table(run_dir: Path) -> list:
    return [
        {name: text for name, text in row.items() if name not in TIMES}
        for row in rows(run_dir / "metrics.csv")
    ]


def assert_equal_states(one: Any, other: Any, where: str = "") -> None:
    if isinstance(one, Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for name, value in one.items():
            if name != "wall_s":
                assert_equal_states(value, other[name], f"{where}.{name}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for i, value in enumerate(one):
            assert_equal_states(value, other[i], f"{where}[{i}]")
    else:
        assert one == other, where


def only_failure(run_dir: Path) -> Path:
    (folder,) = (run_dir / "failure").iterdir()
    return folder


def report(run_dir: Path) -> Dict[str, Any]:
    return json.loads((only_failure(run_dir) / "failure.json").read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing happens to."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    assert start(run_dir) == 0
    return run_dir


def break_update(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Let the at-th optimiser step of the session, from 0, raise after it has changed weights."""
    real, count = PPO.step, [0]

    def step(self: PPO, *arguments: Any) -> Any:
        result = real(self, *arguments)
        count[0] += 1
        if count[0] == at + 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return result

    monkeypatch.setattr(PPO, "step", step)


@pytest.mark.parametrize("place", ["step", "update", "recording"])
def test_resumed_after_a_failure_a_run_equals_one_without(
    place: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    run_dir = tmp_path / "run"
    with monkeypatch.context() as broken:
        if place == "step":
            code = start(run_dir, fault=crash, at=2 * HORIZON + 5)
        elif place == "update":
            break_update(broken, at=2 * 4 + 3)  # 2 epochs of 2 minibatches: the last one
            code = start(run_dir)
        else:
            calls = []

            def fail(self: Any) -> bool:
                calls.append(self.iteration)
                raise KeyError("a bug")

            broken.setattr("epo.runner.session.BEST_INTERVAL", 3)
            broken.setattr("epo.runner.loop.Loop.is_best", fail)
            code = start(run_dir)
            assert calls == [3]
    assert code == 1
    assert checkpoint.load(run_dir / "checkpoints/last.pt")["iteration"] == 2
    assert summary(run_dir)["status"] == "failed"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "iteration 2 is saved; what happened: " in line
    assert line.endswith(str(only_failure(run_dir)))
    assert start(run_dir, "resume=auto") == 0
    assert table(run_dir) == table(whole)
    ours, theirs = (checkpoint.load(path / "checkpoints/last.pt") for path in (run_dir, whole))
    assert_equal_states(ours, theirs)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (crash, "error: RuntimeError: the gripper melted, in the environments' step; "),
        (leave, "error: SystemExit: 3, in the environments' step; "),
        (
            bad_reward,
            "iteration 3: the task's reward is nan in environment 9 (agent 1) and 1 others",
        ),
        (bad_observation, "the task's observation is inf in environment 5 (agent 0), component 1"),
    ],
    ids=["crash", "exit", "reward", "observation"],
)
def test_one_line_names_what_failed_and_where(fault: Any, said: str, tmp_path: Path, capsys: Any):
    at = 2 * HORIZON + HORIZON - 1  # the last step of the third iteration
    assert start(tmp_path / "run", fault=fault, at=at) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert "step 1" in line or "step;" in line
    assert "Traceback" in (only_failure(tmp_path / "run") / "traceback.txt").read_text()
    assert report(tmp_path / "run")["iteration"] == 3


def test_whole_traceback_is_shown_where_it_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    start(tmp_path / "run", fault=crash, at=0)
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_failure_in_the_first_iteration_leaves_no_checkpoint(tmp_path: Path, capsys: Any):
    assert start(tmp_path / "run", fault=crash, at=3) == 1
    assert not (tmp_path / "run/checkpoints/last.pt").exists()
    assert "is saved" not in capsys.readouterr().err
    assert checkpoint.load(only_failure(tmp_path / "run") / "state.pt")["iteration"] == 0


def test_folder_of_a_failure_holds_everything(tmp_path: Path):
    start(tmp_path / "run", fault=bad_reward, at=HORIZON + 2)
    folder = only_failure(tmp_path / "run")
    found = {path.name for path in folder.iterdir()} - {"git.diff"}
    expected = "state.pt rollout.pt random.pt failure.json traceback.txt replay.txt config.yaml "
    assert found == set((expected + "command.txt versions.json").split())
    first = report(tmp_path / "run")["first"]
    assert (first["quantity"], first["env"], first["step"]) == ("reward", 9, 2)
    assert checkpoint.load(folder / "state.pt")["iteration"] == 1
    rollout = checkpoint.load(folder / "rollout.pt")["rollout"]
    assert rollout["reward"][2, [9, 11]].isnan().all()
    assert rollout["reward"].isnan().sum() == 2
    assert "-m epo replay" in (folder / "replay.txt").read_text()


def test_diverged_update_names_the_parameter(tmp_path: Path):
    bad = ["algo.ppo.reward_scale=1e30", "algo.normalizer.value=false"]
    assert start(tmp_path / "run", *bad) == 1
    first = report(tmp_path / "run")["first"]
    assert first["quantity"] in ("value_loss", "gradient", "loss")
    assert first["epoch"] == 0


def test_without_the_recorder_the_last_checkpoint_stays(tmp_path: Path, capsys: Any):
    off = ["guard.flight_recorder=false", "record.checkpoint_interval=2"]
    assert start(tmp_path / "run", *off, fault=crash, at=3 * HORIZON) == 1
    assert checkpoint.load(tmp_path / "run/checkpoints/last.pt")["iteration"] == 2
    assert "is saved" not in capsys.readouterr().err
    assert not (only_failure(tmp_path / "run") / "state.pt").exists()


def test_rollout_that_is_too_large_is_left_out_and_named(tmp_path: Path):
    start(tmp_path / "run", "guard.max_rollout_mb=0", fault=bad_reward, at=0)
    assert not (only_failure(tmp_path / "run") / "rollout.pt").exists()
    assert "raise guard.max_rollout_mb=0" in report(tmp_path / "run")["missing"]["rollout.pt"]


def test_later_failures_of_a_run_take_little_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(flight_recorder, "MAX_WHOLE", 1)
    run_dir = tmp_path / "run"
    start(run_dir, fault=crash, at=HORIZON)
    start(run_dir, "resume=auto", fault=crash, at=0)
    assert len(list(run_dir.glob("failure/*/traceback.txt"))) == 2
    assert len(list(run_dir.glob("failure/*/state.pt"))) == 1


class Secretive:
    """A loop whose state cannot be given."""

    def kept_state(self) -> Dict[str, Any]:
        raise AttributeError("no bit_generator")


def test_state_that_cannot_be_copied_ends_no_run(tmp_path: Path, capsys: Any):
    recorder = FlightRecorder(RunFolder(tmp_path), GuardCfg())
    for _ in range(2):
        recorder.keep(Secretive())  # type: ignore[arg-type]
    (line,) = capsys.readouterr().err.splitlines()
    assert line == ("warning: the flight recorder is off (AttributeError: no bit_generator)")
    assert recorder.state is None


def test_secrets_enter_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SOME_API_KEY", "sesame-open-123")

    def betray(step: Step) -> Step:
        raise RuntimeError(f"login with {os.environ['SOME_API_KEY']} failed: https://me:pw@host/x")

    start(tmp_path / "run", fault=betray)
    for path in (tmp_path / "run").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"sesame-open-123" not in content, path
            assert b"me:pw@" not in content, path


def test_resuming_may_change_the_guard(tmp_path: Path, capsys: Any):
    start(tmp_path / "run", "max_iterations=1")
    assert start(tmp_path / "run", "resume=auto", "guard.flight_recorder=false") == 0
    assert "guard.flight_recorder=False" not in capsys.readouterr().out  # no other command
