"""Gymnasium's spaces in the learner's words: flat observations, actions in [-1, 1] or indices."""

from __future__ import annotations

import math
from typing import Any, NoReturn, Optional, Tuple

import numpy as np
from gymnasium import Env, Space, spaces

from tasks.errors import refuse
from tasks.gymnasium.config import GymnasiumCfg
from tasks.gymnasium.flattening import make_part
from tasks.gymnasium.guard import SPACES, FailedError, Guard
from tasks.gymnasium.pixels import is_image
from tasks.gymnasium.values import LARGEST

MAX_CHOICES = 1024
"""Choices of one component of an action; more need a box of real numbers (ours)."""


def read_spaces(cfg: GymnasiumCfg, env: Env, guard: Guard) -> Tuple[Observations, Actions]:
    """Read the spaces of a sample.

    Raises:
        ValueError: if there are none, or they do not fit the contract.
    """
    try:
        with guard(SPACES):
            observation, action = env.observation_space, env.action_space
    except FailedError as error:
        refuse("task.env_id", cfg.env_id, str(error))
    return Observations(cfg.env_id, observation), Actions(cfg.env_id, action)


class Observations:
    """How an observation becomes one row of O numbers, see `tasks.gymnasium.flattening`.

    Args:
        env_id: for the message.
        space: of one observation; an image has its channels first (`Pixels`).

    Attributes:
        dim: O.
        dtype: of the row; bytes for images, so that they travel in a quarter of the memory.
        image_shape: channels, height and width of an image, else None.
        write: fills a row [O] with an observation; `WrongValueError` if it is not of the space.
        label: names what stands in a column.

    Raises:
        ValueError: if the space has no fixed length.
    """

    def __init__(self, env_id: str, space: Space) -> None:
        _check_space(env_id, "observation_space", space)
        if not space.is_np_flattenable:
            way_out = "have no fixed length; give them one with a gymnasium.ObservationWrapper"
            _refuse(env_id, f"observations {space}", way_out)
        part = make_part(space, "the observation")
        self.dim, self.write, self.label = part.dim, part.write, part.label
        if not self.dim:
            _refuse(env_id, f"observations {space}", "are empty; there is nothing to learn from")
        self.dtype = np.dtype(np.uint8 if is_image(space) else np.float32)
        self.image_shape: Optional[Tuple[int, int, int]] = None
        if is_image(space):
            assert space.shape is not None
            channels, height, width = space.shape
            self.image_shape = channels, height, width


class Actions:
    """How the learner's action becomes the environment's.

    A box of real numbers: components with two bounds are scaled from [-1, 1] to them; others are
    passed on as they are, clamped to [-1, 1] and to the bound they have. A bound beyond `LARGEST`,
    such as float32's largest number, is none. Choices and bounded whole numbers: indices.

    Args:
        env_id: for the message.
        space: of one action.

    Attributes:
        dim: A.
        choices: of every component of a discrete action; else empty.
        shape, dtype: of what the environment gets.

    Raises:
        ValueError: if the space is of another kind.
    """

    def __init__(self, env_id: str, space: Space) -> None:
        _check_space(env_id, "action_space", space)
        self.shape: Tuple[int, ...] = space.shape or ()
        self.dtype = np.dtype(space.dtype or np.int64)
        self.choices: Tuple[int, ...] = ()
        self._is_scalar = isinstance(space, spaces.Discrete)
        if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
            self._set_bounds(space.low.reshape(-1), space.high.reshape(-1))
        else:
            self._set_choices(env_id, space)
        self.dim = math.prod(self.shape)
        if not self.dim:
            _refuse(env_id, f"actions {space}", "are empty; there is nothing to choose")

    def to_env(self, action: np.ndarray) -> np.ndarray:
        """Turn the learner's actions [N, A], numbers or indices, into the environments' units."""
        if self.choices:
            return action.astype(np.int64).clip(0, self._num - 1) + self._first
        scaled = self._middle + self._half_range * action.clip(-1.0, 1.0)
        return scaled.clip(self._low, self._high)

    def unbatch(self, row: np.ndarray) -> Any:
        """Return what one environment's `step` gets for its row [A]; a copy, it may keep it."""
        return int(row[0]) if self._is_scalar else row.reshape(self.shape).copy()

    def _set_bounds(self, low: np.ndarray, high: np.ndarray) -> None:
        is_low, is_high = low > -LARGEST, high < LARGEST
        self._low = np.where(is_low, low, -np.inf).astype(np.float64)
        self._high = np.where(is_high, high, np.inf).astype(np.float64)
        from_ = np.where(is_low & is_high, self._low, -1.0)
        to = np.where(is_low & is_high, self._high, 1.0)
        self._middle, self._half_range = (from_ + to) / 2.0, (to - from_) / 2.0

    def _set_choices(self, env_id: str, space: Space) -> None:
        """Find the choices of a space of whole numbers."""
        if isinstance(space, spaces.Discrete):
            first, num = [space.start], [space.n]
        elif isinstance(space, spaces.MultiDiscrete):
            first, num = space.start.reshape(-1).tolist(), space.nvec.reshape(-1).tolist()
        elif isinstance(space, spaces.MultiBinary):
            num = [2] * math.prod(self.shape)
            first = [0] * len(num)
        elif isinstance(space, spaces.Box):
            first, last = space.low.reshape(-1).tolist(), space.high.reshape(-1).tolist()
            num = [b - a + 1 for a, b in zip(first, last)]
        else:
            way_out = "are none that can be learned; wrap it (gymnasium.ActionWrapper) to take a "
            _refuse(env_id, f"actions {space}", way_out + "Box, Discrete or MultiDiscrete")
        if max(num, default=0) > MAX_CHOICES:
            way_out = f"have more than {MAX_CHOICES} choices; wrap it (gymnasium.ActionWrapper) "
            _refuse(env_id, f"actions {space}", way_out + "to take a Box of real numbers")
        if self._is_scalar:
            self.shape = (1,)
        self._first, self._num = np.array(first, np.int64), np.array(num, np.int64)
        self.choices = tuple(int(n) for n in num)


def _check_space(env_id: str, name: str, space: Any) -> None:
    if not isinstance(space, Space):
        kind = f"{type(space).__module__}.{type(space).__qualname__}"
        _refuse(env_id, f"its {name}", f"is a {kind}, none of gymnasium.spaces; wrap it")


def _refuse(env_id: str, what: str, way_out: str) -> NoReturn:
    what = " ".join(what.split())
    shown = what if len(what) <= 200 else f"{what[:197]}..."
    refuse("task.env_id", env_id, f"{shown} {way_out}")
