"""A sink that keeps what it gets."""

from __future__ import annotations

from typing import Any, List, Mapping


class Rows:
    """Keeps the rows of metrics and of generations."""

    def __init__(self) -> None:
        self.metrics: List[Mapping[str, float]] = []
        self.generations: List[Mapping[str, Any]] = []

    def write(self, frames: int, metrics: Mapping[str, float]) -> None:
        self.metrics.append(metrics)

    def generation(self, row: Mapping[str, Any]) -> None:
        self.generations.append(row)

    def close(self) -> None:
        pass
