from __future__ import annotations

from pathlib import Path

import pytest
import torch

from epo.config import ConfigError
from epo.envs import EnvSpec
from epo.record.csv import MetricsCsv
from epo.runner import checkpoint
from epo.runner.run_folder import RunFolder
from epo.runner.saved_run import SavedRun
from tests.runner.levels import read_level
from tests.runner.small_config import small_config

TOLERANCE = {"curriculum": {"tolerance": torch.tensor(0.05, dtype=torch.float64)}}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with a last checkpoint and a few rows of metrics."""
    folder = RunFolder(tmp_path / "run")
    folder.begin(small_config())
    checkpoint.save(folder.last, {"iteration": 3, "frames": 30, "env": TOLERANCE})
    sink = MetricsCsv(folder.path)
    for iteration, tolerance in ((1, 0.075), (2, float(torch.tensor(0.0675)))):
        sink.write(0, {"iteration": iteration, "success_tolerance": tolerance})
    sink.write(0, {"iteration": 3})
    sink.close()
    return folder.path


def save_best(run: Path, iteration: int) -> None:
    checkpoint.save(RunFolder(run).best, {"iteration": iteration, "frames": 20})


def test_best_is_preferred_and_any_file_can_be_named(run: Path):
    assert SavedRun(run).file.name == "last.pt"
    save_best(run, 2)
    saved = SavedRun(run)
    assert (saved.file.name, saved.state["frames"]) == ("best.pt", 20)
    assert saved.settings["task"]["length"] == 10
    assert SavedRun(run / "checkpoints" / "last.pt").state["frames"] == 30


def test_tolerance_is_that_of_the_checkpoint(run: Path):
    assert read_level(SavedRun(run)) == 0.05
    save_best(run, 2)
    assert read_level(SavedRun(run)) == 0.0675  # as float32 it is 0.06750000268


@pytest.mark.parametrize("iteration", [3, 9])  # an empty cell; no such row
def test_tolerance_is_unknown_where_nothing_was_recorded(iteration: int, run: Path):
    save_best(run, iteration)
    assert read_level(SavedRun(run)) is None


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere", "there is no such file or folder"),
        ("run/checkpoints", "is not a run folder; python -m epo runs lists"),
        ("alone/x.pt", "config.yaml is not of a run; keep checkpoints in their runs"),
        ("run/checkpoints/bad.pt", "damaged or no checkpoint"),
    ],
)
def test_what_is_no_checkpoint_of_a_run_is_refused(path: str, message: str, run: Path):
    (run.parent / "alone").mkdir()
    for name in ("alone/x.pt", "run/checkpoints/bad.pt"):
        (run.parent / name).write_bytes(b"no checkpoint")
    with pytest.raises(ConfigError, match=f"checkpoint=.*{message}"):
        SavedRun(run.parent / path)


def test_run_tells_what_its_task_is(run: Path):
    folder = RunFolder(run)
    assert folder.read_spec() is None  # of an older version
    spec = EnvSpec("task", "e", 4, 3, 1, 0.02, choices=(2,), headline=("doors",))
    folder.write_spec(spec)
    assert folder.read_spec() == spec
    folder.spec.write_text("[1")
    assert folder.read_spec() is None
