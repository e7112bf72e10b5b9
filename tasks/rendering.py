"""Pictures of a task's worlds: what can be drawn, and from where it is seen."""

from __future__ import annotations

from itertools import product
from typing import Any, Protocol

import numpy as np

from epo.envs import VecEnv
from tasks.allegro_kuka import goals
from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.allegro_kuka.task import AllegroKuka
from tasks.classic.config import ClassicCfg
from tasks.classic.env import ClassicEnv
from tasks.engines import opengl
from tasks.errors import refuse
from tasks.gymnasium.config import GymnasiumCfg

CAMERA = "front"
"""Camera of the scene that gives the direction; the distance follows from the picture's shape."""
GOAL_MARGIN_M = {"regrasping": 0.11, "reorientation": 0.08, "throw": 0.15}
"""What is shown around the places of goals, by `task.subtask`: halo, box or bucket."""


class Renderer(Protocol):
    """Draws the worlds of an environment."""

    def draw(self, index: int) -> np.ndarray:
        """Draw world `index` as it is now: [height, width, 3] uint8, of any size."""
        ...

    def close(self) -> None:
        """Free what is drawn with."""
        ...


def check(task_cfg: Any, engine_cfg: Any) -> None:
    """Refuse what cannot be drawn, and set what drawing needs before a task is built.

    That is the OpenGL library, which MuJoCo would choose, and in place the render mode of
    Gymnasium environments.

    Raises:
        ValueError: naming the setting, its value and the way out.
    """
    if isinstance(task_cfg, GymnasiumCfg):
        from tasks.gymnasium.rendering import prepare

        prepare(task_cfg)
        return
    if isinstance(task_cfg, ClassicCfg):
        return
    if not isinstance(task_cfg, AllegroKukaCfg):
        way_out = "it has no picture; use an AllegroKuka task, a classic one or Gymnasium"
        refuse("task", task_cfg.name, way_out)
    if engine_cfg.name == "isaacgym":
        refuse("engine", "isaacgym", "its worlds are not drawn here; use engine=mujoco")
    opengl.load()


def make_renderer(env: VecEnv, width: int, height: int) -> Renderer:
    """Get ready to draw single worlds of `env`.

    Args:
        env: an Allegro-Kuka, classic or Gymnasium task, built after `check`.
        width: of the picture, pixels; most Gymnasium environments have their own.
        height: of the picture, pixels.

    Raises:
        ValueError: if its engine keeps no worlds to draw, or OpenGL cannot draw here.
    """
    if isinstance(env, ClassicEnv):
        from tasks.classic.rendering import ClassicRenderer

        return ClassicRenderer(env, width, height)
    if not isinstance(env, AllegroKuka):
        from tasks.gymnasium.env import GymnasiumEnv
        from tasks.gymnasium.rendering import GymnasiumRenderer

        assert isinstance(env, GymnasiumEnv), "see check"
        return GymnasiumRenderer(env, (width, height))
    from tasks.engines.drawing import WorldRenderer

    world = getattr(env.sim, "world", None)
    if world is None:
        refuse("engine", env.spec.engine, "its worlds cannot be drawn; use engine=mujoco")
    return WorldRenderer(world, CAMERA, goal_corners(env.cfg), success_radius(env), width, height)


def success_radius(env: AllegroKuka) -> float:
    """Give how near the object's centre must come to a point goal now, m; 0 for other goals."""
    if env.cfg.subtask != "regrasping":
        return 0.0
    return float(env.curriculum.tolerance) * env.cfg.keypoint_scale


def goal_corners(cfg: AllegroKukaCfg) -> np.ndarray:
    """Give the corners [P, 3] of all places where goals may be, m, world frame."""
    volume = goals.THROW_VOLUME if cfg.subtask == "throw" else goals.VOLUMES[cfg.num_arms]
    margin = GOAL_MARGIN_M[cfg.subtask]
    lower, upper = np.subtract(volume.lower, margin), np.add(volume.upper, margin)
    corners = np.array(list(product(*zip(lower, upper))))
    side = np.array((volume.side_m, 0.0, 0.0))
    return np.concatenate((corners - side, corners + side))
