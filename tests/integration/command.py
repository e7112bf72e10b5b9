"""Run the command, in this process or in one of its own, and read what it left behind."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, List

import pytest
import torch

from epo.cli import environment
from tests.composed import REPOSITORY

TIMES = {"wall_s", "fps", "sim_s", "learn_s", "act_s"}
"""Columns of metrics.csv that measure time: everything else is determined by the seed."""

SMALL = [
    "task=ProbeReach",
    "device=cpu",
    "num_envs=64",
    "algo.network.kind=mlp",
    "algo.network.mlp_units=[16]",
    "algo.ppo.num_minibatches=2",
    "algo.evolution.warmup_frames=4000",
    "algo.evolution.interval_frames=3000",
    "algo.evolution.noise_guard=0",
    "algo.evolution.gap_ratio=0.01",
    "record.console=plain",
    "record.tensorboard=false",
]
"""A run of a second: 1,024 frames per iteration, generations from the fourth one on."""


def start(arguments: List[str], cwd: Path) -> subprocess.Popen:
    """Start train.py without a GPU."""
    return subprocess.Popen(
        [sys.executable, str(REPOSITORY / "train.py"), *arguments],
        cwd=str(cwd),
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )


def train(arguments: List[str], cwd: Path) -> None:
    """Do in this process what train.py does with its arguments, from another folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        (cfg,) = environment.configurations(arguments)
        assert environment.train(cfg) == 0


def rows(run_dir: Path, name: str = "metrics.csv") -> List[Dict[str, str]]:
    """Read a csv of the run without its measured times."""
    with open(run_dir / name, newline="") as file:
        return [
            {key: value for key, value in row.items() if key not in TIMES}
            for row in csv.DictReader(file)
        ]


def weights(run_dir: Path) -> Dict[str, torch.Tensor]:
    """Return the network of the last checkpoint."""
    content = torch.load(str(run_dir / "checkpoints" / "last.pt"), weights_only=True)
    return content["state"]["model"]


def assert_same_run(one: Path, other: Path) -> None:
    """Compare every recorded number and every weight, bit for bit."""
    assert rows(one) == rows(other)
    ours, theirs = weights(one), weights(other)
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
