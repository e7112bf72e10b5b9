"""The episodes that run in N environments: their clocks, their returns, which began late."""

from __future__ import annotations

from typing import Dict, Mapping, Optional

import torch
from torch import Tensor

from tasks.clock import clock_spread


class Episodes:
    """Counts control steps and adds up what each step brings; nothing waits for the device.

    Args:
        num_envs: N.
        time_limit: H, control steps of an episode that nothing else ends.
        device: where all tensors live.

    Attributes:
        time_limit: H.
        elapsed: [N] int64, control steps of the present episode.
        returns: [N] what it has brought so far.
        is_partial: [N] bool, it began late: its return is that of a part.
    """

    def __init__(self, num_envs: int, time_limit: int, device: torch.device) -> None:
        self.time_limit = time_limit
        self.elapsed = torch.zeros(num_envs, dtype=torch.int64, device=device)
        self.returns = torch.zeros(num_envs, device=device)
        self.is_partial = torch.zeros(num_envs, dtype=torch.bool, device=device)
        self._late: Optional[Tensor] = None

    def start_late(self, elapsed: Tensor) -> None:
        """Let the next `begin` start clocks at `elapsed` [N] int64."""
        self._late = elapsed.to(self.elapsed.device, copy=True)

    def begin(self) -> None:
        """Begin a new episode everywhere."""
        self.elapsed = torch.zeros_like(self.elapsed) if self._late is None else self._late
        self.is_partial, self._late = self.elapsed > 0, None
        self.returns = torch.zeros_like(self.returns)

    def count(self, gained: Tensor) -> Tensor:
        """Count a control step that brought `gained` [N]; return whose time is over, [N] bool."""
        self.elapsed = self.elapsed + 1
        self.returns = self.returns + gained
        return self.elapsed >= self.time_limit

    def spread(self) -> Tensor:
        """Return how spread the clocks are, [], see `clock_spread`."""
        return clock_spread(self.elapsed, self.time_limit)

    def restart(self, done: Tensor) -> None:
        """Begin a new episode where `done` [N] bool."""
        self.elapsed = self.elapsed.masked_fill(done, 0)
        self.returns = self.returns.masked_fill(done, 0.0)
        self.is_partial = self.is_partial & ~done

    def state_dict(self) -> Dict[str, Tensor]:
        """Return everything that changes."""
        return {
            "elapsed": self.elapsed.clone(),
            "return": self.returns.clone(),
            "is_partial": self.is_partial.clone(),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue exactly where `state_dict` was taken; other entries of `state` are ignored."""
        device = self.elapsed.device
        self.elapsed = state["elapsed"].to(device, copy=True)
        self.returns = state["return"].to(device, copy=True)
        self.is_partial = state["is_partial"].to(device, copy=True)
