"""Skip minibatches whose loss or gradient is not finite, without waiting for the device."""

from __future__ import annotations

from typing import Dict

import torch
from torch import Tensor

SKIPPED = "health/skipped_minibatches"
"""Column: minibatches of the update that were left out."""
IN_A_ROW = "skipped_in_a_row"
"""Longest series of them, earlier updates included; it is looked at, but not recorded."""


class Skipping:
    """Make a fused optimiser skip a step, in weights and moments alike.

    Args:
        optimizer: a fused one, which looks at `found_inf` as a scaler of gradients sets it.
        device: of its parameters.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
        self.optimizer = optimizer
        self._zero = torch.zeros((), device=device)
        self._num = self._in_a_row = self._longest = self._zero

    def begin_update(self) -> None:
        """Start counting again; a series continues."""
        self._num, self._longest = self._zero, self._in_a_row

    def look(self, loss: Tensor, grad_norm: Tensor) -> Tensor:
        """Decide on the coming step; return [] bool, whether it is taken."""
        is_fine = torch.isfinite(loss.detach()) & torch.isfinite(grad_norm)
        is_skipped = (~is_fine).float()
        self.optimizer.found_inf = is_skipped  # pyright: ignore[reportAttributeAccessIssue]
        self._num = self._num + is_skipped
        self._in_a_row = (self._in_a_row + 1.0) * is_skipped
        self._longest = torch.maximum(self._longest, self._in_a_row)
        return is_fine

    def read(self) -> Dict[str, Tensor]:
        """Return the numbers of this update, name -> [] tensor."""
        return {SKIPPED: self._num, IN_A_ROW: self._longest}

    def state_dict(self) -> Dict[str, Tensor]:
        """The present series."""
        return {"in_a_row": self._in_a_row.clone()}

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Continue where `state_dict` was taken."""
        self._in_a_row = state["in_a_row"].to(self._zero.device, copy=True)
