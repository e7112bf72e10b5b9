"""`python -m epo replay`: the iteration that failed fails again, in the same way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from epo.cli import diagnose, replay
from epo.cli.environment import make_env
from epo.config import ConfigError
from epo.record.csv import rows
from epo.runner import checkpoint
from epo.runner.run import run
from tests.composed import composed
from tests.runner.test_flight_recorder import only_failure, report, start

DIVERGING = ["algo.ppo.reward_scale=1e30", "algo.normalizer.value=false"]


def again(folder: Path, capsys: Any, *settings: str) -> str:
    """Repeat the iteration, which fails, and give what was printed."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        replay.main([str(folder), *settings])
    assert caught.value.code == 1
    printed = capsys.readouterr()
    return printed.out + printed.err


def test_divergence_repeats_with_the_environments(tmp_path: Path, capsys: Any):
    start(tmp_path / "run", *DIVERGING)
    printed = again(only_failure(tmp_path / "run"), capsys)
    assert "with the environments\n" in printed
    assert "the recorded failure" in printed
    assert "training diverged" in printed


def test_iteration_that_ends_well_says_so(tmp_path: Path, capsys: Any):
    start(tmp_path / "run", *DIVERGING)
    replay.main([str(only_failure(tmp_path / "run")), "algo.ppo.reward_scale=0.01"])
    printed = capsys.readouterr().out
    assert "it ended well; recorded was: " in printed


def gymnasium_run(run_dir: Path, env_id: str) -> int:
    settings = [
        *("task=Gymnasium", f"task.env_id={env_id}", "task.vectorization=sync", "device=cpu"),
        *("algo=ppo", "num_envs=4", "num_agents=1", "algo.network.kind=lstm"),
        *("algo.network.mlp_units=[8]", "algo.network.lstm_units=8", "algo.ppo.horizon=8"),
        *("algo.ppo.num_minibatches=2", "record.console=off", "record.tensorboard=false"),
        "max_iterations=6",
    ]
    cfg = composed(*settings)
    cfg.run_dir = str(run_dir)
    return run(cfg, make_env)


@pytest.fixture(scope="module")
def gymnasium_failure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose environment 2 gives a reward that is no number in its 20th step."""
    pytest.importorskip("gymnasium")
    run_dir = tmp_path_factory.mktemp("gymnasium") / "run"
    assert gymnasium_run(run_dir, "tests.cli.faulty_env:NanReward-v0") == 1
    return run_dir


def test_gymnasium_failure_names_environment_step_and_quantity(gymnasium_failure: Path):
    content = report(gymnasium_failure)
    first = content["first"]
    assert content["iteration"] == 3  # steps 16 to 23
    assert (first["quantity"], first["env"], first["step"]) == ("reward", 2, 3)
    assert checkpoint.load(gymnasium_failure / "checkpoints/last.pt")["iteration"] == 2
    assert [row["iteration"] for row in rows(gymnasium_failure / "metrics.csv")] == ["1", "2"]


def test_gymnasium_failure_repeats_with_the_recorded_rollout(gymnasium_failure: Path, capsys: Any):
    printed = again(only_failure(gymnasium_failure), capsys)
    assert "with the recorded rollout" in printed
    assert "environment 2 of tests.cli.faulty_env:NanReward-v0: the reward is nan" in printed
    assert "the recorded failure" in printed


@pytest.mark.slow
def test_printed_command_repeats_the_failure(gymnasium_failure: Path):
    command = (only_failure(gymnasium_failure) / "replay.txt").read_text()
    done = subprocess.run(["sh", "-c", command], capture_output=True, timeout=120)
    assert done.returncode == 1
    assert b"NanReward-v0: the reward is nan" in done.stderr
    assert b"the recorded failure" in done.stdout


def test_recorded_rollout_needs_no_foreign_code(
    gymnasium_failure: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    monkeypatch.setitem(sys.modules, "tests.cli.faulty_env", None)  # not here
    assert "the recorded failure" in again(only_failure(gymnasium_failure), capsys)


def test_diagnose_shows_what_was_written_down(gymnasium_failure: Path, capsys: Any):
    diagnose.main([str(gymnasium_failure)])
    printed = capsys.readouterr().out
    assert "iteration 3 failed in the environments' step" in printed
    assert "first, reward is nan in environment 2 (agent 0), step 3" in printed
    assert "repeat it     sh " in printed and "replay.txt" in printed


def test_diagnose_survives_a_damaged_report(tmp_path: Path, capsys: Any):
    folder = tmp_path / "failure" / "now"
    folder.mkdir(parents=True)
    (folder / "failure.json").write_text("null")
    diagnose.main([str(tmp_path)])
    assert "failure.json is damaged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("nothing there", "no folder of a failure"),
        ("no state", "there is no such file"),
        ("null report", "no folder of a failure"),
        ("missing state", "was not written (No space left on device)"),
    ],
)
def test_incomplete_folder_is_refused(change: str, said: str, tmp_path: Path):
    start(tmp_path / "run", *DIVERGING)
    folder = only_failure(tmp_path / "run")
    written = folder / "failure.json"
    if change == "nothing there":
        folder = tmp_path
    elif change == "no state":
        (folder / "state.pt").unlink()
    elif change == "null report":
        written.write_text("null")
    else:
        text = written.read_text()
        missing = '"missing": {"state.pt": "No space left on device"}'
        written.write_text(text.replace('"missing": {}', missing))
    with pytest.raises(ConfigError, match=said.replace("(", r"\(").replace(")", r"\)")):
        replay.main([str(folder)])


def test_arguments_are_checked(tmp_path: Path, capsys: Any):
    replay.main([])
    assert "usage: python -m epo replay FOLDER" in capsys.readouterr().out
    start(tmp_path / "run", *DIVERGING)
    with pytest.raises(ConfigError, match="argument=--fast"):
        replay.main([str(only_failure(tmp_path / "run")), "--fast"])
