"""What an environment shows and takes, asked of a single one before a run begins."""

from __future__ import annotations

from tasks.gymnasium.config import GymnasiumCfg
from tasks.gymnasium.environments import sample
from tasks.gymnasium.guard import Guard
from tasks.gymnasium.spaces import read_spaces
from tasks.interface import Interface


def interface(cfg: GymnasiumCfg) -> Interface:
    """Build one environment and say what it shows and takes.

    Raises:
        ValueError: if it cannot be built, or its spaces do not fit the contract.
    """
    guard = Guard(cfg)
    with sample(cfg, guard) as env:
        observations, actions = read_spaces(cfg, env, guard)
    return Interface(cfg.env_id, actions.choices, observations.image_shape)
