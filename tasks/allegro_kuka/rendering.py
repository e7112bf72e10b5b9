"""Pictures of Allegro-Kuka worlds: from where they are seen, and what is shown around goals."""

from __future__ import annotations

from itertools import product

import numpy as np

from tasks.allegro_kuka import goals
from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.allegro_kuka.task import AllegroKuka
from tasks.errors import refuse
from tasks.rendering import Renderer

CAMERA = "front"
"""Camera of the scene that gives the direction; the distance follows from the picture's shape."""
GOAL_MARGIN_M = {"regrasping": 0.11, "reorientation": 0.08, "throw": 0.15}
"""What is shown around the places of goals, by `task.subtask`: halo, box or bucket."""


def make_renderer(env: AllegroKuka, width: int, height: int) -> Renderer:
    """Get ready to draw single worlds of `env`, `width` x `height` pixels.

    Raises:
        ValueError: if its engine keeps no worlds to draw, or OpenGL cannot draw here.
    """
    from tasks.engines.drawing import WorldRenderer

    world = getattr(env.sim, "world", None)
    if world is None:
        refuse("engine", env.spec.engine, "its worlds cannot be drawn; use engine=mujoco")
    return WorldRenderer(world, CAMERA, goal_corners(env.cfg), success_radius(env), width, height)


def success_radius(env: AllegroKuka) -> float:
    """Return how near the object's centre must come to a point goal now, m; 0 for other goals."""
    if env.cfg.subtask != "regrasping":
        return 0.0
    return float(env.curriculum.tolerance) * env.cfg.keypoint_scale


def goal_corners(cfg: AllegroKukaCfg) -> np.ndarray:
    """Return the corners [P, 3] of all places where goals may be, m, world frame."""
    volume = goals.THROW_VOLUME if cfg.subtask == "throw" else goals.VOLUMES[cfg.num_arms]
    margin = GOAL_MARGIN_M[cfg.subtask]
    lower, upper = np.subtract(volume.lower, margin), np.add(volume.upper, margin)
    corners = np.array(list(product(*zip(lower, upper))))
    side = np.array((volume.side_m, 0.0, 0.0))
    return np.concatenate((corners - side, corners + side))
