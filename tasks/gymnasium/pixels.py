"""Images as observations: luminance, a smaller square, the newest few on top of each other."""

from __future__ import annotations

from collections import deque
from typing import Any, Deque, Tuple

import numpy as np
from gymnasium import Env, ObservationWrapper, Space, spaces

from tasks.gymnasium.config import PixelsCfg
from tasks.gymnasium.guard import WrongValueError
from tasks.gymnasium.values import numbers

LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue (ITU-R BT.601)."""


def is_image(space: Space) -> bool:
    """Return whether observations are images: bytes [H, W], [H, W, C <= 4] or [C, H, W]."""
    return isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) in (2, 3)


def averaging(size: int, side: int) -> np.ndarray:
    """Return the matrix [side, size] that averages `size` pixels over `side` equal intervals.

    Pixel j covers [j, j + 1], interval i covers [i, i + 1] * size / side; a weight is the
    length of what they share, in intervals.
    """
    step = size / side
    start = np.arange(side)[:, None] * step
    pixel = np.arange(size)[None, :]
    shared = np.minimum(start + step, pixel + 1) - np.maximum(start, pixel)
    return (shared.clip(min=0.0) / step).astype(np.float32)


class Pixels(ObservationWrapper):
    """Turn images into bytes [stack * C, H, W], channels first and the newest image last.

    Args:
        env: an environment for which `is_image` holds.
        cfg: what is done to every image.
    """

    def __init__(self, env: Env, cfg: PixelsCfg) -> None:
        super().__init__(env)
        shape = env.observation_space.shape
        assert shape is not None and is_image(env.observation_space)
        self._shape = shape
        self._is_channels_last = len(shape) == 3 and shape[-1] <= 4
        channels, height, width = self._channels_first(np.zeros(shape, np.uint8)).shape
        self._is_colour = cfg.grayscale and self._is_channels_last and channels >= 3
        channels = 1 if self._is_colour else channels
        self._averaging: Tuple[np.ndarray, ...] = ()
        if cfg.side is not None and (height, width) != (cfg.side, cfg.side):
            self._averaging = (averaging(height, cfg.side), averaging(width, cfg.side).T)
            height = width = cfg.side
        self._frames: Deque[np.ndarray] = deque(maxlen=cfg.frame_stack)
        self.observation_space = spaces.Box(
            0, 255, (channels * cfg.frame_stack, height, width), np.uint8
        )

    def reset(self, **kwargs: Any) -> Any:
        """Begin an episode: its first image fills the stack."""
        self._frames.clear()
        return super().reset(**kwargs)

    def observation(self, observation: Any) -> np.ndarray:
        """Add one image to the stack and give the stack."""
        image = numbers("the observation", observation, self._shape)
        if image.dtype != np.uint8:
            raise WrongValueError(f"the observation is of {image.dtype}, its space of uint8")
        frame = self._channels_first(image.reshape(self._shape))
        if self._is_colour:
            frame = np.tensordot(LUMINANCE, frame[:3], axes=1)[None]
        if self._averaging:
            rows, columns = self._averaging
            frame = rows @ frame @ columns
        if frame.dtype != np.uint8:
            frame = np.rint(frame).astype(np.uint8)
        self._frames.append(frame)
        while len(self._frames) < (self._frames.maxlen or 1):
            self._frames.append(frame)
        return np.concatenate(self._frames)

    def _channels_first(self, image: np.ndarray) -> np.ndarray:
        """Bring [H, W], [H, W, C] or [C, H, W] into the order [C, H, W]."""
        if image.ndim == 2:
            return image[None]
        return image.transpose(2, 0, 1) if self._is_channels_last else image
