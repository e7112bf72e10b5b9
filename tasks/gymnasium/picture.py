"""Pictures of Gymnasium environments, drawn by the environments themselves."""

from __future__ import annotations

from typing import Any, Tuple

import numpy as np
from gymnasium import Env

Size = Tuple[int, int]
"""Width and height of a picture, pixels."""


def draw(env: Env, size: Size) -> np.ndarray:
    """Draw one environment as it is now: [height, width, 3] uint8, of `size` if MuJoCo draws it.

    Raises:
        Exception: of the environment, or ValueError if what it gives is no picture.
    """
    renderer = _mujoco_renderer(env)
    if renderer is not None and renderer.viewer is None:
        _resize(renderer, size)
    elif renderer is not None:
        # Gymnasium does not, and would draw in the context of the environment drawn last, which
        # goes well only while both are alike.
        renderer.viewer.make_context_current()
    picture = np.asarray(env.render())
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3:
        raise ValueError(f"render gives {picture.dtype}{list(picture.shape)}, not [H, W, 3] uint8")
    return picture


def _resize(renderer: Any, size: Size) -> None:
    """Choose the size of pictures before MuJoCo's OpenGL context is opened."""
    from tasks.engines.drawing import shadow_size

    renderer.width, renderer.height = width, height = size
    visual = renderer.model.vis
    visual.global_.offwidth, visual.global_.offheight = width, height
    visual.quality.shadowsize = shadow_size(height)


def _mujoco_renderer(env: Env) -> Any:
    """Return what Gymnasium's MuJoCo environments draw with; None for other environments."""
    return getattr(env.unwrapped, "mujoco_renderer", None)
