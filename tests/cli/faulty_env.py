"""An environment that gives a reward that is no number."""

from __future__ import annotations

from typing import Any, List, Optional

import gymnasium
import numpy as np
from gymnasium import Env, spaces

INSTANCES: List[Env] = []
AT = 20
"""Step of the last but one environment, from 1, whose reward is NaN."""


class NanReward(Env):
    """Observe two numbers that mean nothing."""

    observation_space = spaces.Box(-10.0, 10.0, (2,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self) -> None:
        INSTANCES.append(self)
        self.steps = 0

    def reset(self, *, seed: Optional[int] = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self._observation(), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        is_bad = self.steps == AT and self is INSTANCES[-2]
        return self._observation(), float("nan") if is_bad else 1.0, False, False, {}

    def _observation(self) -> np.ndarray:
        return self.np_random.normal(size=2).astype(np.float32)


gymnasium.register("NanReward-v0", entry_point=f"{__name__}:NanReward")
