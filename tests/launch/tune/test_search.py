"""The search with processes that only write the curve of a parabola."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

pytest.importorskip("optuna")

from epo.config import ConfigError
from launch.tune import report, search, storage
from launch.tune.definition import RangeCfg, TuneCfg
from launch.tune.search import Search

RUN = """
import json, os, signal, sys, time
settings = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
folder, x = settings["run_dir"], float(settings["x"])
if x < 0.1:
    print("error: x is too small")
    sys.exit(2)
with open(os.path.join(folder, "metrics.csv"), "w") as file:
    file.write("iteration,frames,wall_s,score\\n")
    for i in range(1, 11):
        file.write(f"{i},{10 * i},{i},{-((x - 0.5) ** 2)}\\n")
"""


@pytest.fixture
def tune() -> TuneCfg:
    return TuneCfg("t", ["a=b"], 100, 8, {"x": RangeCfg(0.0, 1.0)}, "score", startup_trials=99)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> List[List[str]]:
    """Start the script above instead of train.py, and keep its arguments."""
    seen: List[List[str]] = []

    def start(arguments, folder: Path, environment=None, option="runs"):
        seen.append(list(arguments))
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "output.txt", "wb") as output:
            command = [sys.executable, "-S", "-c", RUN, *arguments]
            return subprocess.Popen(command, stdout=output, stderr=output)

    monkeypatch.setattr(search.child, "start", start)
    monkeypatch.setattr(search, "POLL_S", 0.02)
    return seen


@pytest.mark.slow
def test_trials_are_run_told_and_counted(tune: TuneCfg, started: List[List[str]], tmp_path: Path):
    study = storage.open_study(tune, tmp_path, {})
    for x in (0.05, 0.45):
        study.enqueue_trial({"x": x})
    assert Search(study, tune, tmp_path, ["c=d"], 3).run() == 0
    assert len(started) == len(study.trials) == 8
    trial_dir = tmp_path / "trial-1"
    assert started[1] == ["a=b", "c=d", "x=0.45", "max_frames=100", *_resume(trial_dir)]
    assert study.trials[0].state.name == "FAIL"
    assert study.trials[0].user_attrs["reason"] == "x is too small"
    assert study.trials[1].value == pytest.approx(-0.0025)
    assert len(study.trials[1].intermediate_values) == 10
    assert (report.best(study).value or -1.0) >= -0.0025
    # All are done: nothing is left for the next command.
    assert Search(storage.open_study(tune, tmp_path, {}), tune, tmp_path, [], 3).run() == 0
    assert len(started) == 8


def _resume(folder: Path) -> List[str]:
    return [f"run_dir={folder}", "resume=auto"]


def test_trial_of_a_command_that_died_goes_on(
    tune: TuneCfg, started: List[List[str]], tmp_path: Path
):
    tune.num_trials = 2
    study = storage.open_study(tune, tmp_path, {})
    left = study.ask(storage.distributions(tune))  # and nobody looks after it
    assert Search(study, tune, tmp_path, [], 1).run() == 0
    assert f"run_dir={tmp_path / 'trial-0'}" in started[0]
    assert started[0][1] == f"x={left.params['x']}"
    assert [trial.state.is_finished() for trial in study.trials] == [True, True]


def test_bad_trial_is_pruned(tune: TuneCfg, started: List[List[str]], tmp_path: Path):
    tune.startup_trials, tune.warmup_share, tune.num_trials = 1, 0.2, 3
    study = storage.open_study(tune, tmp_path, {})
    for x in (0.5, 0.55, 1.0):
        study.enqueue_trial({"x": x})
    assert Search(study, tune, tmp_path, [], 1).run() == 0
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED", "PRUNED"]


def test_signal_leaves_trials_to_the_next_command(
    tune: TuneCfg, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    def start(arguments, folder: Path, environment=None, option="runs"):
        os.kill(os.getpid(), signal.SIGTERM)
        return subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])

    monkeypatch.setattr(search.child, "start", start)
    study = storage.open_study(tune, tmp_path, {})
    assert Search(study, tune, tmp_path, [], 1).run() == 143
    assert [trial.state.name for trial in study.trials] == ["RUNNING"]


def test_storage_of_another_search_is_refused(tune: TuneCfg, tmp_path: Path):
    storage.open_study(tune, tmp_path, {})
    tune.num_trials = 99  # more of the same
    storage.open_study(tune, tmp_path, {})
    tune.max_frames = 50
    with pytest.raises(ConfigError, match="holds a search of other settings"):
        storage.open_study(tune, tmp_path, {})


def test_locked_storage_is_one_line(tune: TuneCfg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    storage.open_study(tune, tmp_path, {})
    monkeypatch.setattr(storage, "TIMEOUT_S", 0.05)
    other = sqlite3.connect(str(tmp_path / storage.FILE), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ConfigError, match=r"storage=.*optuna\.db: another process holds it"):
        storage.open_study(tune, tmp_path, {})
    other.close()


def test_file_that_is_no_storage_is_one_line(tune: TuneCfg, tmp_path: Path):
    (tmp_path / storage.FILE).write_text("no database at all, only some text\n" * 50)
    with pytest.raises(ConfigError, match=r"storage=.*not a database"):
        storage.open_study(tune, tmp_path, {})
