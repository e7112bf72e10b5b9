"""Tasks that are watched or measured instead of learned from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional

import torch

from epo.envs import VecEnv
from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.allegro_kuka.task import AllegroKuka
from tasks.gymnasium.config import GymnasiumCfg

_NEVER = 2**62
"""Control steps that no evaluation reaches."""


def episode_length(task_cfg: Any) -> Optional[int]:
    """Give the time limit of an episode, control steps; None: there is none."""
    if isinstance(task_cfg, GymnasiumCfg):
        from tasks.gymnasium import environments

        return environments.episode_length(task_cfg)
    return task_cfg.episode_length


def target_tolerance(task_cfg: Any) -> Optional[float]:
    """Give the success tolerance that the curriculum ends at, m; None: there is no curriculum."""
    if not isinstance(task_cfg, AllegroKukaCfg):
        return None
    return task_cfg.curriculum.target_tolerance_m


def hold_tolerance(env: VecEnv, tolerance_m: Optional[float]) -> Optional[float]:
    """Stop the curriculum at a success tolerance.

    The objective goes on measuring curriculum progress at that tolerance, so fitness is the
    training's.

    Args:
        env: a task; one without curriculum stays as it is.
        tolerance_m: the tolerance, m; None: the present one.

    Returns:
        The tolerance, m; None without a curriculum.
    """
    if not isinstance(env, AllegroKuka):
        return None
    env.cfg = replace(env.cfg, curriculum=replace(env.cfg.curriculum, interval_steps=_NEVER))
    if tolerance_m is not None:
        tolerance = torch.full_like(env.curriculum.tolerance, tolerance_m)
        env.curriculum = env.curriculum._replace(tolerance=tolerance)
    return float(env.curriculum.tolerance)
