"""Small loops on probes, by our PPO and by rl_games' from the same settings."""

from __future__ import annotations

from functools import reduce
from typing import Any, Mapping, Tuple

import torch

from epo.config import Config
from epo.record.recorder import Recorder
from epo.runner.loop import Loop
from epo.runner.run import make_loop
from epo.validation import validate
from tasks import registry
from tests.composed import composed

SMALL = {
    "num_agents": 1,
    "num_envs": 16,
    "device": "cpu",
    "algo.network.lstm_units": 8,
    "algo.network.mlp_units": [16, 8],
}
SAME = {"algo.ppo.shuffle": False, "algo.normalizer.timing": "minibatch"}
"""What our PPO must be told to do as rl_games does."""
Settings = Mapping[str, Any]


def changed(cfg: Config, settings: Settings) -> Config:
    """Set dotted settings: faster than composing them."""
    for name, value in settings.items():
        *path, last = name.split(".")
        setattr(reduce(getattr, path, cfg), last, value)
    return cfg


def small_loop(
    settings: Settings, algo: str = "rl_games_ppo", task: str = "task=ProbeReach"
) -> Loop:
    """Build a checked loop of `SMALL` size, without recording."""
    cfg = changed(composed(task, f"algo={algo}"), {**SMALL, **settings})
    validate(cfg)
    cpu = torch.device("cpu")
    env = registry.make(cfg.task, cfg.engine, cfg.num_envs, cpu, cfg.seed, cfg.num_agents)
    return make_loop(cfg, env, Recorder([]))


def twins(settings: Settings) -> Tuple[Loop, Loop]:
    """Build our loop and rl_games' from the same settings."""
    return small_loop({**SAME, **settings}, "ppo"), small_loop(settings)
