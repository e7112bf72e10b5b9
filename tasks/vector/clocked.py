"""Batched environments of others whose clocks can be set, so that first episodes begin late."""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor

from epo.envs import Step
from tasks.clock import clock_spread
from tasks.vector.config import VectorCfg
from tasks.vector.dialect import ClockedDialect
from tasks.vector.env import BatchedEnv


class ClockedBatchedEnv(BatchedEnv):
    """As `BatchedEnv`, and a `ClockedEnv`.

    Args:
        dialect: how they are spoken to, and their clocks.
        cfg: settings.
    """

    def __init__(self, dialect: ClockedDialect, cfg: VectorCfg) -> None:
        super().__init__(dialect, cfg)
        self._clocks = dialect
        self._late: Optional[Tensor] = None
        self._is_partial = torch.zeros(dialect.num_envs, dtype=torch.bool, device=self.device)

    @property
    def time_limit(self) -> int:
        """H, control steps of an episode that nothing else ends."""
        return self._clocks.time_limit

    def start_late(self, elapsed: Tensor) -> None:
        """Let the next `reset` begin episodes whose clocks show `elapsed` [N] int64."""
        self._late = elapsed.to(self.device, copy=True)

    def reset(self) -> Tensor:
        """Begin a new episode everywhere and return the observation [N, O]."""
        observation = super().reset()
        self._is_partial = torch.zeros_like(self._is_partial)
        if self._late is not None:
            self._clocks.set_clock(self._late)
            self._is_partial, self._late = self._late > 0, None
        return observation

    def step(self, action: Tensor) -> Step:
        """Apply `action` [N, A] for one control step."""
        step, is_partial = super().step(action), self._is_partial
        self._is_partial = is_partial & ~(step.terminated | step.truncated)
        spread = clock_spread(self._clocks.clock(), self.time_limit)
        return step._replace(
            is_partial=is_partial, scalars={**step.scalars, "clock_spread": spread}
        )
