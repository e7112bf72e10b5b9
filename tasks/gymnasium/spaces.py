"""Gymnasium's spaces in the learner's words: flat observations, actions in [-1, 1] or an index."""

from __future__ import annotations

import math
from typing import Any, Optional, Tuple

import numpy as np
from gymnasium import Space, spaces

from tasks.errors import refuse
from tasks.gymnasium.pixels import is_image


class Observations:
    """How an observation becomes one row of O numbers.

    A box is flattened. Everything else that has a fixed length is flattened as Gymnasium does:
    a choice is one-hot, the parts of a dictionary or tuple follow each other.

    Args:
        env_id: for the message.
        space: of one observation; an image has its channels first (`Pixels`).

    Attributes:
        dim: O.
        dtype: of the row; bytes for images, so that they travel in a quarter of the memory.
        image_shape: channels, height and width of an image, else None.

    Raises:
        ValueError: if the space has no fixed length.
    """

    def __init__(self, env_id: str, space: Space) -> None:
        if not space.is_np_flattenable:
            refuse("task.env_id", env_id, f"observations {space} have no fixed length; wrap it")
        self.space = space
        self.dim = spaces.flatdim(space)
        self.dtype = np.dtype(np.uint8 if is_image(space) else np.float32)
        self.image_shape: Optional[Tuple[int, int, int]] = None
        if is_image(space):
            assert space.shape is not None
            channels, height, width = space.shape
            self.image_shape = channels, height, width
        self._is_box = isinstance(space, spaces.Box)

    def flat(self, observation: Any) -> np.ndarray:
        """Give the row [O]."""
        if self._is_box:
            return np.asarray(observation).reshape(-1)
        return np.asarray(spaces.flatten(self.space, observation))


class Actions:
    """How the learner's action becomes the environment's.

    A box of real numbers: components with two finite bounds are scaled from [-1, 1] to them;
    others are passed on as they are, clamped to [-1, 1] and to the bound they have. A discrete
    space: the index of the choice.

    Args:
        env_id: for the message.
        space: of one action.

    Attributes:
        dim: A.
        num_choices: of a discrete action, else 0.
        shape, dtype: of what the environment gets.

    Raises:
        ValueError: if the space is of another kind.
    """

    def __init__(self, env_id: str, space: Space) -> None:
        self.dim, self.num_choices = 1, 0
        self.shape: Tuple[int, ...] = ()
        self.dtype = np.dtype(np.int64)
        if isinstance(space, spaces.Discrete):
            self.num_choices, self._first = int(space.n), int(space.start)
        elif isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
            self.dim, self.shape, self.dtype = (
                math.prod(space.shape),
                space.shape,
                np.dtype(space.dtype),
            )
            self._set_bounds(space.low.reshape(-1), space.high.reshape(-1))
        else:
            refuse("task.env_id", env_id, f"actions {space} are neither Discrete nor a real Box")

    def to_env(self, action: np.ndarray) -> np.ndarray:
        """Turn the learner's actions [N, A] into the environments' units, or indices [N, 1]."""
        if self.num_choices:
            return action.astype(np.int64).clip(0, self.num_choices - 1) + self._first
        scaled = self._middle + self._half_range * action.clip(-1.0, 1.0)
        return scaled.clip(self._low, self._high)

    def unbatch(self, row: np.ndarray) -> Any:
        """Give what one environment's `step` gets for its row [A]; a copy, it may keep it."""
        return int(row[0]) if self.num_choices else row.reshape(self.shape).copy()

    def _set_bounds(self, low: np.ndarray, high: np.ndarray) -> None:
        self._low, self._high = low.astype(np.float64), high.astype(np.float64)
        is_bounded = np.isfinite(self._low) & np.isfinite(self._high)
        from_, to = np.where(is_bounded, low, -1.0), np.where(is_bounded, high, 1.0)
        self._middle, self._half_range = (from_ + to) / 2.0, (to - from_) / 2.0
