"""A few environments of a toy, stepped in tests."""

from __future__ import annotations

import copy
from typing import Any, List

import torch

from epo.envs import Step
from tasks.gymnasium.config import GymnasiumCfg
from tasks.gymnasium.env import GymnasiumEnv
from tests.tasks.gymnasium.toys import TOYS

CPU = torch.device("cpu")
NUM_ENVS = 3


def make(toy: str, *, seed: int = 0, num_envs: int = NUM_ENVS, **settings: Any) -> GymnasiumEnv:
    settings.setdefault("vectorization", "sync")
    return GymnasiumEnv(GymnasiumCfg(env_id=f"{TOYS}{toy}", **settings), num_envs, CPU, seed)


def run(env: GymnasiumEnv, num_steps: int, action: float = 0.0) -> List[Step]:
    """Step on; copies, since what a step returns is valid until the next one."""
    actions = torch.full((env.spec.num_envs, env.spec.action_dim), action)
    return [copy.deepcopy(env.step(actions)) for _ in range(num_steps)]
