"""Ratios between events, kept exactly."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Dict


class Ratio:
    """Return how many events are due at every tick, so that their ratio to ticks never drifts.

    Args:
        events_per_tick: such as 8.0 or 0.5, taken as the decimal number that it is written as.
    """

    def __init__(self, events_per_tick: float) -> None:
        self._ratio = Fraction(str(events_per_tick))
        self._credit = 0  # in units of 1 / denominator of an event

    def tick(self) -> int:
        """Count a tick and give the number of events that are due."""
        self._credit += self._ratio.numerator
        due, self._credit = divmod(self._credit, self._ratio.denominator)
        return due

    def state_dict(self) -> Dict[str, Any]:
        """Return the credit."""
        return {"credit": self._credit, "denominator": self._ratio.denominator}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue where `state_dict` was taken; another ratio starts over."""
        is_same = state["denominator"] == self._ratio.denominator
        self._credit = int(state["credit"]) if is_same else 0
