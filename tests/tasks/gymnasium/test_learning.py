"""The learner on Gymnasium tasks: choices, real actions, images, resume."""

from __future__ import annotations

import math
from typing import List, Mapping

import pytest
import torch

pytest.importorskip("gymnasium")

from epo.config import ConfigError
from epo.record.recorder import Recorder
from epo.runner.trainer import Trainer
from tasks import registry
from tests.composed import composed
from tests.tasks.gymnasium.toys import TOYS

SMALL = [
    "device=cpu",
    "task.vectorization=sync",
    "algo.network.mlp_units=[32]",
    "algo.ppo.learning_rate=3e-3",
]


def make_trainer(*overrides: str) -> Trainer:
    cfg = composed(*SMALL, *overrides)
    cfg.num_agents = 1 if cfg.num_agents == "auto" else cfg.num_agents
    env = registry.make(
        cfg.task, cfg.engine, cfg.num_envs, torch.device("cpu"), cfg.seed, cfg.num_agents
    )
    return Trainer(cfg, env, Recorder([]))


def learn(trainer: Trainer, num_iterations: int) -> List[Mapping[str, float]]:
    return [trainer.iterate() for _ in range(num_iterations)]


@pytest.mark.slow
def test_cartpole_is_learned():
    trainer = make_trainer(
        "experiment=gymnasium/CartPole-v1",
        "num_envs=64",
        "algo.ppo.horizon=32",
        "algo.ppo.num_epochs=4",
    )
    rows = learn(trainer, 11)
    # Random choices keep it up for about 22 steps; seeds 0, 1, 2 reached 65, 72, 107.
    assert rows[1]["leader/episode_return"] < 30
    assert rows[-1]["leader/episode_return"] > 50


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "MountainCarContinuous-v0"])
def test_real_actions_give_finite_numbers(env_id: str):
    trainer = make_trainer(
        "task=Gymnasium",
        f"task.env_id={env_id}",
        "task.max_episode_steps=20",
        "algo=ppo",
        "algo.network.kind=mlp",
        "num_envs=8",
        "algo.ppo.reward_scale=1.0",
        "algo.ppo.bootstrap_truncated=true",
    )
    row = learn(trainer, 2)[-1]
    assert all(math.isfinite(value) for name, value in row.items() if name.startswith("loss"))
    assert row["leader/episode_return"] < 0 and row["leader/episode_length"] == 20


LAMP = [
    "task=Gymnasium",
    f"task.env_id={TOYS}Lamp-v0",
    "task.pixels.side=8",
    "task.pixels.frame_stack=1",
    "algo.network.kind=mlp",
    "algo.network.encoder=cnn",
    "algo.network.cnn_channels=[4,8]",
    "algo.ppo.reward_scale=1.0",
]


@pytest.mark.slow
def test_lamp_is_seen():
    trainer = make_trainer(*LAMP, "algo=ppo", "num_envs=32")
    rows = learn(trainer, 14)
    # 8 rewards at best, 4 by chance with a standard error of 0.25 over 32 episodes.
    assert rows[0]["leader/episode_return"] < 5
    assert rows[-1]["leader/episode_return"] > 7


def test_population_sees_too():
    trainer = make_trainer(*LAMP, "algo=epo", "num_agents=4", "num_envs=16")
    row = learn(trainer, 3)[-1]
    assert math.isfinite(row["loss/total"]) and row["population/gene_distance"] > 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([*LAMP, "algo.network.encoder=none"], r"Lamp-v0 shows an image \[1, 8, 8\]; use .*=cnn"),
        (
            ["task=Gymnasium", "task.env_id=CartPole-v1", "algo.network.encoder=cnn"],
            r"encoder=cnn: CartPole-v1 shows a vector; use algo\.network\.encoder=none",
        ),
    ],
)
def test_encoder_that_does_not_fit_is_refused(overrides: List[str], message: str):
    with pytest.raises(ConfigError, match=message):
        make_trainer(*overrides, "algo=ppo", "num_envs=4")


def test_resumed_run_counts_only_whole_episodes():
    """The steps of an episode that was lost are not added to the next one's."""
    run = [
        "task=Gymnasium",
        f"task.env_id={TOYS}Counting-v0",
        "task.kwargs.length=20",
        "algo=ppo",
        "algo.network.kind=mlp",
        "num_envs=4",
    ]
    trainer = make_trainer(*run)
    learn(trainer, 1)  # 16 steps: 4 before the end of the first episodes
    state = trainer.state_dict()
    resumed = make_trainer(*run, "seed=5")
    resumed.load_state_dict(state)
    row = learn(resumed, 2)[-1]  # a step that is no experience, then 20 of an episode, then 11
    assert row["leader/episode_length"] == 20
    assert math.isfinite(row["loss/total"])
    assert resumed.frames == 3 * 64
