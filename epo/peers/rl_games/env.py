"""Our environments behind rl_games' `IVecEnv`."""

from __future__ import annotations

from typing import Any, Callable, Dict, Tuple

import numpy as np
from rl_games.common import env_configurations, vecenv
from rl_games.common.gym_compat import spaces
from rl_games.common.ivecenv import IVecEnv
from torch import Tensor

from epo.envs import EnvSpec, Step, VecEnv
from epo.peers.rl_games.parameters import NAME
from epo.stopwatch import Stopwatch


class RlGamesEnv(IVecEnv):
    """N environments as rl_games knows them; no tensor is copied or moved.

    A step that is not experience (`Step.valid`) looks like one that a time limit ended: rl_games
    has no mask for it.

    Args:
        env: ours.
        observe: called with every step.
        stopwatch: gets the time of the environments as section `sim`.

    Attributes:
        scalars: name -> [] tensor, state of the task after the last step.
    """

    def __init__(self, env: VecEnv, observe: Callable[[Step], None], stopwatch: Stopwatch) -> None:
        self.env = env
        self.observe = observe
        self.stopwatch = stopwatch
        self.scalars: Dict[str, Tensor] = {}

    def register(self) -> None:
        """Enter these environments into the registries under `NAME`; earlier ones are forgotten."""
        vecenv.register(NAME, lambda name, num_actors, **kwargs: self)
        env_configurations.register(NAME, {"vecenv_type": NAME, "env_creator": lambda **_: self})

    def reset(self) -> Tensor:
        """Begin a new episode everywhere and return the observation [N, O]."""
        return self.env.reset()

    def step(self, actions: Tensor) -> Tuple[Tensor, Tensor, Tensor, Dict[str, Tensor]]:
        """Apply actions [N, A] in [-1, 1], or choices [N].

        Returns:
            observation [N, O], reward [N], done [N] bool, and `time_outs` [N] bool among infos.
        """
        if self.env.spec.choices:
            actions = actions.unsqueeze(-1).float()
        with self.stopwatch.section("sim"):
            step = self.env.step(actions)
        self.observe(step)
        self.scalars = step.scalars
        is_cut = step.truncated if step.valid is None else step.truncated | ~step.valid
        return step.observation, step.reward, step.terminated | is_cut, {"time_outs": is_cut}

    def get_env_info(self) -> Dict[str, Any]:
        """Return the spaces."""
        observation, action = make_spaces(self.env.spec)
        return {
            "observation_space": observation,
            "action_space": action,
            "state_space": None,
            "agents": 1,
            "value_size": 1,
        }


def make_spaces(spec: EnvSpec) -> Tuple[spaces.Space, spaces.Space]:
    """Return the spaces of observations and actions, of the Gym that this rl_games uses."""
    observation = spaces.Box(-np.inf, np.inf, (spec.observation_dim,), np.float32)
    if spec.choices:
        return observation, spaces.Discrete(spec.choices[0])
    return observation, spaces.Box(-1.0, 1.0, (spec.action_dim,), np.float32)
