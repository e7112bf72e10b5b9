"""Multirun through the real command: one folder, one process and one run folder per run."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, List

import pytest

from tests.composed import REPOSITORY

TINY = (
    *("task=ProbeValue", "algo=ppo", "num_envs=4", "max_iterations=1", "record.tensorboard=false"),
    *("algo.network.kind=mlp", "algo.network.mlp_units=[8]"),
)


def sweep(cwd: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    """Run `train.py -m` to its end, without a GPU."""
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "train.py"), "-m", *TINY, *overrides],
        cwd=str(cwd),
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "HYDRA_FULL_ERROR": "0"},
        capture_output=True,
        text=True,
        timeout=240,
    )


def table(cwd: Path) -> List[Dict[str, str]]:
    """Read the table of the only sweep."""
    (path,) = cwd.glob("runs/sweep/*/sweep.csv")
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_sweep_goes_on_after_a_failure_and_lists_it(tmp_path: Path):
    # Whether there is a CUDA device is known to the run only: the sweep itself needs no torch.
    result = sweep(tmp_path, "seed=1", "device=cuda,cpu")
    assert result.returncode == 1
    assert "error: device=cuda: torch sees no CUDA device here" in result.stderr
    assert "Traceback" not in result.stderr
    rows = table(tmp_path)
    assert [row["run"] for row in rows] == ["device-cuda", "device-cpu"]
    assert [row["state"] for row in rows] == ["failed", "finished"]
    assert rows[0]["error"] == "code 2" and rows[1]["frames"] == "64"
    # The child's own command line, not the sweep's.
    (command,) = tmp_path.glob("runs/sweep/*/device-cpu/command.txt")
    assert "device=cpu" in command.read_text() and " -m " not in command.read_text()


@pytest.mark.slow
def test_runs_share_the_machine_and_a_second_start_skips_them(tmp_path: Path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    words = ("device=cpu", "seed=1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    first = sweep(tmp_path, *words)
    assert first.returncode == 0, first.stderr
    assert [row["state"] for row in table(tmp_path)] == ["finished"] * 2
    times = [row["wall_s"] for row in table(tmp_path)]
    second = sweep(tmp_path, *words)
    assert second.returncode == 0 and second.stdout.count("is finished already") == 2
    assert [row["wall_s"] for row in table(tmp_path)] == times
