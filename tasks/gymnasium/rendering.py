"""What lets a Gymnasium task be drawn, and its renderer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from tasks.engines import opengl
from tasks.errors import describe, refuse
from tasks.gymnasium.config import EXTRA, GymnasiumCfg
from tasks.gymnasium.environments import sample, uses_mujoco
from tasks.gymnasium.guard import RENDER, FailedError, Guard
from tasks.gymnasium.lookup import find_spec
from tasks.gymnasium.picture import Size, draw

if TYPE_CHECKING:
    from tasks.gymnasium.env import GymnasiumEnv

MODE = "rgb_array"
"""Render mode that gives pictures."""
SDL_DRIVERS = {"SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy"}
"""What lets pygame draw without a display and be silent, unless the user has set it."""
TRIAL_SIZE: Size = (64, 64)


class GymnasiumRenderer:
    """Draws the environments of a task that was prepared for it.

    Args:
        env: built after `prepare`.
        size: wanted; MuJoCo draws in it, other environments in their own.
    """

    def __init__(self, env: GymnasiumEnv, size: Size) -> None:
        self._env, self._size = env, size

    def draw(self, index: int) -> np.ndarray:
        """Draw environment `index` as it is now: [height, width, 3] uint8."""
        return self._env.draw(index, self._size)

    def close(self) -> None:
        """Do nothing: the environments close what they draw with."""


def prepare(cfg: GymnasiumCfg) -> None:
    """Set, in place, what lets the environments be drawn in this process, and draw one.

    Raises:
        ValueError: if they have no pictures, or those cannot be drawn here.
    """
    # MuJoCo reads MUJOCO_GL when the environment imports it.
    context_class = opengl.load() if uses_mujoco(find_spec(cfg)) else None
    guard = Guard(cfg)
    with sample(cfg, guard) as env:
        modes = (env.metadata or {}).get("render_modes") or ()
    if MODE not in modes:
        refuse("task.env_id", cfg.env_id, f"it has no picture (no render mode {MODE})")
    cfg.kwargs = {**cfg.kwargs, "render_mode": MODE}
    cfg.vectorization = "sync"
    for name, driver in SDL_DRIVERS.items():
        os.environ.setdefault(name, driver)
    with sample(cfg, guard) as env:
        try:
            with guard(RENDER):
                if context_class is not None:
                    # First: Gymnasium's viewer without a context fails once more when deleted.
                    context_class(*TRIAL_SIZE).free()
                env.reset(seed=0)
                draw(env, TRIAL_SIZE)
        except FailedError as error:
            cause = error.__cause__
            if context_class is not None and isinstance(cause, Exception):
                opengl.give_up(cause)
            why = str(error) if cause is None or error.is_hang else describe(cause)
            refuse("task.env_id", cfg.env_id, f"it cannot be drawn here ({why}); try {EXTRA}")
