"""The real command: members that are processes and die, physics, a policy to look at."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest
import torch

from epo.runner.evaluator import load_policy
from epo.runner.saved_run import SavedRun
from tests.composed import REPOSITORY
from tests.integration.command import assert_same_run, rows, start, train, weights
from tests.runner.levels import read_level
from tests.runner.pbt.runs import SMALL, config, make_env

pytestmark = pytest.mark.slow

QUIET = ["record.console=plain", "record.tensorboard=false"]
DIES = """
import os, runpy, signal, sys

replace = os.replace

def dying(source, target):
    if str(target).endswith("02/00000006.json"):
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)

os.replace = dying
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs train.py, and is killed while it leaves its sixth record."""


def member(index: int, num_iterations: int) -> List[str]:
    settings = [word for word in SMALL if not word.startswith(("num_agents", "num_envs"))]
    return [
        *settings,
        *QUIET,
        "num_envs=8",
        "algo.pbt.backend=files",
        "algo.pbt.folder=population",
        f"algo.pbt.member={index}",
        "algo.pbt.num_members=3",
        # Returns tell members apart from the first episode on.
        "algo.pbt.objective=episode_return",
        "algo.pbt.mutable=[ppo.clip_eps,ppo.gamma]",
        "record.checkpoint_interval=3",
        f"max_iterations={num_iterations}",
        f"run_dir=run{index}",
        "resume=auto",
    ]


def records(path: Path, index: int) -> List[str]:
    return sorted(file.name for file in (path / f"population/{index:02d}").glob("*.json"))


def test_killed_member_is_survived_and_comes_back(tmp_path: Path):
    dying = subprocess.Popen(
        [sys.executable, "-c", DIES, str(REPOSITORY / "train.py"), *member(2, 40)],
        cwd=str(tmp_path),
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert dying.wait(timeout=180) == -signal.SIGKILL
    torn = tmp_path / "population/02/00000006.json.tmp"
    assert torn.exists() and records(tmp_path, 2)[-1] == "00000005.json"
    living = [start(member(index, 40), tmp_path) for index in (0, 1)]
    for process in living:
        out, err = process.communicate(timeout=180)
        assert process.returncode == 0, err or out
    # Eight environments of 4 steps, 32 frames: an interval per iteration, the first is noted.
    assert all(records(tmp_path, index)[-1] == "00000040.json" for index in (0, 1))
    # They compared themselves with what the dead one had left, the last time included.
    changes = [row for index in (0, 1) for row in rows(tmp_path / f"run{index}", "generations.csv")]
    assert changes and all(min(json.loads(row["fitness"])) > -1e9 for row in changes)
    train(member(2, 40), tmp_path)
    iterations = [row["iteration"] for row in rows(tmp_path / "run2")]
    assert iterations == [str(i) for i in range(1, 41)]
    assert not torn.exists() and records(tmp_path, 2)[-1] == "00000040.json"


def test_members_in_physics_resume_exactly_and_are_played(tmp_path: Path):
    pytest.importorskip("mujoco")
    run = [
        "task=AllegroKukaRegrasping",
        "task.episode_length=12",
        "algo=pbt",
        "num_agents=4",
        "num_envs=32",
        "device=cpu",
        "algo.network.kind=lstm",
        "algo.network.lstm_units=16",
        "algo.network.mlp_units=[16]",
        "algo.diagnostics.enabled=false",
        # The published objective is 0 before the first success.
        "algo.pbt.objective=closest_keypoint_distance",
        "algo.pbt.mutation_rate=0.5",
        "algo.pbt.interval_frames=128",
        "algo.pbt.start_after_frames=256",
        "algo.pbt.initial_delay_frames=256",
        *QUIET,
    ]
    train([*run, "max_iterations=9", "run_dir=whole"], tmp_path)
    train([*run, "max_iterations=4", "run_dir=halves"], tmp_path)
    train([*run, "max_iterations=9", "resume=halves"], tmp_path)
    changes = rows(tmp_path / "whole", "generations.csv")
    assert any("copy" in row["operator"] for row in changes)
    assert changes == rows(tmp_path / "halves", "generations.csv")
    assert_same_run(tmp_path / "whole", tmp_path / "halves")
    row = rows(tmp_path / "whole")[-1]
    assert row["pbt/hp/reward.lift_threshold_m/3"] and row["leader/success_tolerance"]
    saved = SavedRun(tmp_path / "whole/checkpoints/last.pt")
    assert read_level(saved) == pytest.approx(0.075)
    # One agent's: what plays it looks for no population.
    assert len(weights(tmp_path / "whole")["log_std"]) == 1


def test_best_policy_of_members_acts_as_one_agent(tmp_path: Path):
    train([*SMALL, *QUIET, "max_iterations=10", "run_dir=run"], tmp_path)
    saved = SavedRun(tmp_path / "run")
    assert saved.file.name == "best.pt"
    cfg = config("num_envs=4", "num_agents=1")
    env = make_env(cfg)
    policy = load_policy(cfg.algo, 1, saved.state, saved.file, env, [0], seed=None)
    action = policy.act(env.reset(), torch.ones(4, dtype=torch.bool))
    assert action.shape == (4, 2)
    # As start weights of plain PPO it is one agent as well.
    best = tmp_path / "run/checkpoints/best.pt"
    shared = [word for word in SMALL if not word.startswith(("num_agents", "algo.pbt."))]
    ppo = [word.replace("algo=pbt", "algo=ppo") for word in shared]
    train([*ppo, *QUIET, f"checkpoint={best}", "max_iterations=1", "run_dir=ppo"], tmp_path)
