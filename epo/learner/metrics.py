"""Means of per-sample terms over the minibatches of an update, kept on the device."""

from __future__ import annotations

from typing import Dict, Optional

from torch import Tensor


class MetricMeans:
    """Add up named tensors and give their means; nothing is moved to the host."""

    def __init__(self) -> None:
        self._sums: Dict[str, Tensor] = {}
        self._counts: Dict[str, Tensor] = {}

    def add(self, name: str, value: Tensor, mask: Optional[Tensor] = None) -> None:
        """Count `value` [...] under `name`, where `mask` (broadcastable bool) allows."""
        value = value.detach()
        weight = value.new_ones(()) if mask is None else mask.to(value.dtype)
        total = (value * weight).sum()
        count = weight.expand_as(value).sum()
        if name in self._sums:
            total, count = total + self._sums[name], count + self._counts[name]
        self._sums[name], self._counts[name] = total, count

    def read(self) -> Dict[str, Tensor]:
        """Return name -> [] mean; 0 where nothing was counted."""
        return {name: self._sums[name] / self._counts[name].clamp(min=1.0) for name in self._sums}
