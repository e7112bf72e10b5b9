"""The contract of everything that a run's numbers go to."""

from __future__ import annotations

from typing import Any, Mapping, Protocol


class Sink(Protocol):
    """One place that a run's numbers go to."""

    def write(self, frames: int, metrics: Mapping[str, float]) -> None:
        """Take the numbers of one iteration, `iteration` and `frames` among them."""
        ...

    def generation(self, row: Mapping[str, Any]) -> None:
        """Take the description of one generation (`iteration`, `frames`, `replaced`, ...)."""
        ...

    def close(self) -> None:
        """Bring everything to its place."""
        ...
