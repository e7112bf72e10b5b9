"""Pictures of batched environments of others, as their own `draw` or `render` makes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tasks.errors import describe, refuse
from tasks.vector.env import BatchedEnv


class VectorRenderer:
    """Shows what `draw(index)` gives, or else `render`: pictures of each world, or of one."""

    def __init__(self, env: Any) -> None:
        its = env.dialect.env if isinstance(env, BatchedEnv) else env
        self._draw = getattr(its, "draw", None)
        self._env, self._name = its, env.spec.name
        if self._draw is not None:
            return
        if not hasattr(its, "render") or getattr(its, "render_mode", None) is None:
            way_out = "its environments were built without render_mode=rgb_array; add it to kwargs"
            refuse("task", env.spec.name, way_out)

    def draw(self, index: int) -> np.ndarray:
        """Draw world `index`, or the world that the library shows: [height, width, 3] uint8."""
        try:
            pictures = self._env.render() if self._draw is None else self._draw(index)
        except Exception as error:
            refuse("task", self._name, f"it cannot be drawn ({describe(error)})")
        if isinstance(pictures, (list, tuple)):
            pictures = pictures[min(index, len(pictures) - 1)]
        if isinstance(pictures, torch.Tensor):
            pictures = pictures.cpu().numpy()
        array = np.asarray(pictures)
        if array.ndim == 4:
            array = array[min(index, len(array) - 1)]
        if array.ndim != 3:
            refuse("task", self._name, f"it draws {list(array.shape)}, no picture")
        return array[..., :3].astype(np.uint8)

    def close(self) -> None:
        """Nothing to free: the environment closes its own."""
