"""Means of per-sample terms over the minibatches of an update, kept on the device."""

from __future__ import annotations

from typing import Dict, Optional

import torch
from torch import Tensor

from epo.ranks import ALONE, Ranks


class MetricMeans:
    """Accumulate named tensors and return their means; nothing moves to the host.

    Args:
        empty: mean of what was never counted.
    """

    def __init__(self, empty: float = 0.0) -> None:
        self._empty = empty
        self._sums: Dict[str, Tensor] = {}
        self._counts: Dict[str, Tensor] = {}

    def add(self, name: str, value: Tensor, mask: Optional[Tensor] = None) -> None:
        """Count `value` [...] under `name`, where `mask` (broadcastable bool) allows."""
        value = value.detach()
        if mask is None:
            total, count = value.sum(), value.new_full((), value.numel())
        else:
            # Not a product with the mask: what does not count may be infinite.
            total = torch.where(mask, value, 0.0).sum()
            count = mask.expand_as(value).sum().to(value.dtype)
        if name in self._sums:
            total, count = total + self._sums[name], count + self._counts[name]
        self._sums[name], self._counts[name] = total, count

    def read(self, ranks: Ranks = ALONE) -> Dict[str, Tensor]:
        """Return name -> [] mean over what all `ranks` counted; `empty` where nothing was."""
        means: Dict[str, Tensor] = {}
        sums, counts = ranks.totals(self._sums), ranks.totals(self._counts)
        for name, total in sums.items():
            count = counts[name]
            means[name] = torch.where(count > 0.0, total / count.clamp(min=1.0), self._empty)
        return means
