"""What an environment shows and takes, asked of a single one before a run begins."""

from __future__ import annotations

from contextlib import closing

from tasks.gymnasium.config import GymnasiumCfg
from tasks.gymnasium.environments import make_env
from tasks.gymnasium.spaces import Actions, Observations
from tasks.interface import Interface


def interface(cfg: GymnasiumCfg) -> Interface:
    """Build one environment and say what it shows and takes.

    Raises:
        ValueError: if it cannot be built, or its spaces do not fit the contract.
    """
    with closing(make_env(cfg)) as env:
        observations = Observations(cfg.env_id, env.observation_space)
        actions = Actions(cfg.env_id, env.action_space)
    return Interface(cfg.env_id, actions.num_choices, observations.image_shape)
