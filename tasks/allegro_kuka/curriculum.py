"""The tolerance curriculum and the objective that it defines."""

from __future__ import annotations

from typing import NamedTuple, Tuple

import torch
from torch import Tensor

from tasks.allegro_kuka.config import CurriculumCfg


class Curriculum(NamedTuple):
    """State of the curriculum; scalars stay tensors on the device.

    Attributes:
        tolerance: [] float64 present tolerance, m (float64 as in the original's Python floats).
        steps: [] int64 control steps so far.
        last_change: [] int64 control step of the last tightening.
    """

    tolerance: Tensor
    steps: Tensor
    last_change: Tensor


def begin(cfg: CurriculumCfg, device: torch.device) -> Curriculum:
    """Give the curriculum at the start of training."""
    zero = torch.zeros((), dtype=torch.int64, device=device)
    tolerance = torch.tensor(cfg.initial_tolerance_m, dtype=torch.float64, device=device)
    return Curriculum(tolerance, zero, zero)


def advance(curriculum: Curriculum, mean_successes: Tensor, cfg: CurriculumCfg) -> Curriculum:
    """Count one control step and tighten the tolerance if it is due."""
    steps = curriculum.steps + 1
    tolerance, last_change = tighten(
        curriculum.tolerance, steps, curriculum.last_change, mean_successes, cfg
    )
    return Curriculum(tolerance, steps, last_change)


def tighten(
    tolerance: Tensor,
    steps: Tensor,
    last_change: Tensor,
    mean_successes: Tensor,
    cfg: CurriculumCfg,
) -> Tuple[Tensor, Tensor]:
    """Tighten the tolerance once the interval is over and goals are reached often enough.

    Args:
        tolerance: [] m.
        steps: [] control steps so far.
        last_change: [] control step of the last tightening.
        mean_successes: [] mean over environments of the successes of the last finished episode.
        cfg: interval, factor and bounds.

    Returns:
        new tolerance, m, and new `last_change`, which is renewed at the floor too.

    Source: IsaacGymEnvs `allegro_kuka_utils.py`, tolerance_curriculum.
    """
    due = (steps - last_change >= cfg.interval_steps) & (mean_successes >= cfg.min_successes)
    tighter = (tolerance * cfg.factor).clamp(cfg.target_tolerance_m, cfg.initial_tolerance_m)
    return torch.where(due, tighter, tolerance), torch.where(due, steps, last_change)


def objective(successes: Tensor, tolerance: Tensor, cfg: CurriculumCfg) -> Tensor:
    """Give the task objective [N] of episodes with `successes` [N] at the present tolerance [].

    While the curriculum runs its progress in [0, 1) outweighs successes: 0.01 successes +
    progress. At its end it is successes + 1.

    Source: IsaacGymEnvs `allegro_kuka_utils.py`, tolerance_successes_objective.
    """
    span = cfg.initial_tolerance_m - cfg.target_tolerance_m
    progress = (cfg.initial_tolerance_m - tolerance) / span if span > 0 else 1.0
    weight = torch.where(tolerance > cfg.target_tolerance_m, 0.01, 1.0)
    return weight * successes + progress
