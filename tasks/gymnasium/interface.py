"""What an environment shows and takes, asked of a single one before a run begins."""

from __future__ import annotations

from contextlib import closing
from typing import NamedTuple, Optional, Tuple

from tasks.gymnasium.config import GymnasiumCfg
from tasks.gymnasium.environments import make_env
from tasks.gymnasium.spaces import Actions, Observations


class Interface(NamedTuple):
    """What a learner must fit; the same as in the `EnvSpec` of the environments.

    Attributes:
        name: environment id.
        num_choices: choices of a discrete action; 0: actions are continuous.
        image_shape: channels, height and width of an observation; None: it is a vector.
    """

    name: str
    num_choices: int
    image_shape: Optional[Tuple[int, int, int]]


def interface(cfg: GymnasiumCfg) -> Interface:
    """Build one environment and say what it shows and takes.

    Raises:
        ValueError: if it cannot be built, or its spaces do not fit the contract.
    """
    with closing(make_env(cfg)) as env:
        observations = Observations(cfg.env_id, env.observation_space)
        actions = Actions(cfg.env_id, env.action_space)
    return Interface(cfg.env_id, actions.num_choices, observations.image_shape)
