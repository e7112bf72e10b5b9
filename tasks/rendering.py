"""Pictures of a task's worlds."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Renderer(Protocol):
    """Draws the worlds of an environment."""

    def draw(self, index: int) -> np.ndarray:
        """Draw world `index` as it is now: [height, width, 3] uint8, of any size."""
        ...

    def close(self) -> None:
        """Free what is drawn with."""
        ...
