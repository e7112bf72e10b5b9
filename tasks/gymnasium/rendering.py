"""What lets a Gymnasium task be drawn, and its renderer."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from tasks.engines import opengl
from tasks.errors import refuse
from tasks.gymnasium.config import EXTRA, GymnasiumCfg
from tasks.gymnasium.environments import make_env, uses_mujoco
from tasks.gymnasium.lookup import find_spec, reason
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
    context_class = opengl.load() if uses_mujoco(find_spec(cfg.env_id)) else None
    with closing(make_env(cfg)) as sample:
        modes = sample.metadata.get("render_modes") or ()
    if MODE not in modes:
        refuse("task.env_id", cfg.env_id, f"it has no picture (no render mode {MODE})")
    cfg.kwargs = {**cfg.kwargs, "render_mode": MODE}
    cfg.vectorization = "sync"
    for name, driver in SDL_DRIVERS.items():
        os.environ.setdefault(name, driver)
    with closing(make_env(cfg)) as sample:
        try:
            if context_class is not None:
                # First, since Gymnasium's viewer without a context fails once more when deleted.
                context_class(*TRIAL_SIZE).free()
            sample.reset(seed=0)
            draw(sample, TRIAL_SIZE)
        except Exception as error:  # Every way to draw has its own.
            if context_class is not None:
                opengl.give_up(error)
            way_out = f"it cannot be drawn here ({type(error).__name__}: {reason(error)})"
            refuse("task.env_id", cfg.env_id, f"{way_out}; try {EXTRA}")
