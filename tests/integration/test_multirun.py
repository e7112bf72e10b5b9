"""Multirun through the real command: one process and one run folder per run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
        timeout=120,
    )


@pytest.mark.slow
def test_every_run_of_a_sweep_has_its_own_process_and_folder(tmp_path: Path):
    result = sweep(tmp_path, "seed=1,2")
    assert result.returncode == 0, result.stderr
    runs = sorted((tmp_path / "runs" / "ProbeValue" / "ppo").iterdir())
    assert [run.name.rpartition("_")[2] for run in runs] == ["seed1", "seed2"]
    for run, seed in zip(runs, ("seed=1", "seed=2")):
        # The child's own command line, not the sweep's.
        command = (run / "command.txt").read_text()
        assert seed in command and " -m " not in command
        assert (run / "summary.json").exists()


@pytest.mark.slow
def test_failing_run_fails_the_sweep(tmp_path: Path):
    # Whether there is a CUDA device is known to the run only: the sweep itself needs no torch.
    result = sweep(tmp_path, "device=cuda")
    assert result.returncode == 1
    assert "error: device=cuda: torch sees no CUDA device here" in result.stderr
    assert "ended with code 2" in result.stderr and "Traceback" not in result.stderr
