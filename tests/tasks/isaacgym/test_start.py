from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

from tests.composed import REPOSITORY
from tests.tasks.isaacgym.conftest import PACKAGES

SCRIPT = """
import runpy, sys
from tasks.isaacgym import preload
preload.PYTHON, preload.NUMPY_BELOW = sys.version_info[:2], (99,)
{before}
sys.argv = ["train.py", *sys.argv[1:]]
runpy.run_path({train!r}, run_name="__main__")
"""
"""Run train.py where this Python and this NumPy suit Isaac Gym. Its stand-in refuses to be
imported after torch."""

SMALL = [
    "task=AllegroKukaRegrasping",
    "engine=isaacgym",
    "device=cpu",
    "num_envs=6",
    "num_agents=3",
    "algo.network.kind=mlp",
    "algo.network.mlp_units=[8]",
    "algo.ppo.minibatch_size=null",
    "algo.ppo.num_minibatches=1",
    "algo.ppo.num_epochs=1",
    "record.console=plain",
    "record.tensorboard=false",
]


def train(
    arguments: List[str], cwd: Path, before: str = "", packages: Path = PACKAGES
) -> subprocess.CompletedProcess[str]:
    script = SCRIPT.format(before=before, train=str(REPOSITORY / "train.py"))
    path = os.pathsep.join([str(packages), str(REPOSITORY)])
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=str(cwd),
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_run_imports_isaac_gym_first_and_trains(tmp_path: Path) -> None:
    done = train([*SMALL, "run_dir=run", "max_iterations=2"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no effect on engine=isaacgym: task.clamp_reset_joints" in done.stdout
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert all(float(row["success_tolerance"]) > 0.07 for row in rows)
    assert (tmp_path / "run" / "versions.json").is_file()


@pytest.mark.slow
def test_missing_isaac_gym_is_one_line(tmp_path: Path) -> None:
    done = train(SMALL, tmp_path, packages=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "error: engine=isaacgym is impossible: isaacgym is not installed; see docs/isaacgym.md, "
        "or use engine=mujoco_warp\n"
    )


def test_torch_imported_first_is_one_line(tmp_path: Path) -> None:
    done = train(SMALL, tmp_path, before="import torch")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "torch was imported before it" in line


@pytest.mark.slow
def test_sweep_is_checked_where_isaac_gym_is_not_installed(tmp_path: Path) -> None:
    # The runs of a sweep may start elsewhere; this one fails at its own start.
    done = train([*SMALL, "-m", "seed=1,0.5"], tmp_path, packages=tmp_path)
    (line,) = done.stderr.splitlines()
    assert "seed=0.5" in line
