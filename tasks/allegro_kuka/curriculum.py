"""The tolerance curriculum and the objective that it defines."""

from __future__ import annotations

from typing import Dict, NamedTuple, Tuple

import torch
from torch import Tensor

from tasks.allegro_kuka.config import CurriculumCfg


class Curriculum(NamedTuple):
    """State of C curricula, each for an equal block of environments; tensors on the device.

    Attributes:
        tolerance: [C] float64 present tolerance, m (float64 as in the original's Python floats).
        steps: [C] int64 control steps so far.
        last_change: [C] int64 control step of the last tightening.
    """

    tolerance: Tensor
    steps: Tensor
    last_change: Tensor


def begin(cfg: CurriculumCfg, device: torch.device, num: int = 1) -> Curriculum:
    """Return `num` curricula at the start of training."""
    zero = torch.zeros(num, dtype=torch.int64, device=device)
    tolerance = torch.full_like(zero, cfg.initial_tolerance_m, dtype=torch.float64)
    return Curriculum(tolerance, zero, zero)


def per_env(of_block: Tensor, num_envs: int) -> Tensor:
    """Return the value [N] of each environment's block, from those of the blocks [C]."""
    return of_block.reshape(-1, 1).expand(-1, num_envs // of_block.numel()).flatten()


def per_block(of_env: Tensor, num: int) -> Tensor:
    """Average the values of environments [N] over each of `num` blocks [C]."""
    return of_env.view(num, -1).mean(1)


def at(curriculum: Curriculum, block: int) -> Dict[str, Tensor]:
    """Return the state of one curriculum, name -> [] tensor."""
    return {name: value[block].clone() for name, value in curriculum._asdict().items()}


def put(curriculum: Curriculum, block: int, state: Dict[str, Tensor]) -> Curriculum:
    """Return the curricula with the state of one replaced, see `at`."""
    copies = {name: value.clone() for name, value in curriculum._asdict().items()}
    for name, value in state.items():
        copies[name][block] = value
    return Curriculum(**copies)


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
        tolerance: [C] m.
        steps: [C] control steps so far.
        last_change: [C] control step of the last tightening.
        mean_successes: [C] mean over environments of the successes of the last finished episode.
        cfg: interval, factor and bounds.

    Returns:
        new tolerance, m, and new `last_change`, which is renewed at the floor too.

    Source: IsaacGymEnvs `allegro_kuka_utils.py`, tolerance_curriculum.
    """
    due = (steps - last_change >= cfg.interval_steps) & (mean_successes >= cfg.min_successes)
    tighter = (tolerance * cfg.factor).clamp(cfg.target_tolerance_m, cfg.initial_tolerance_m)
    return torch.where(due, tighter, tolerance), torch.where(due, steps, last_change)


def objective(successes: Tensor, tolerance: Tensor, cfg: CurriculumCfg) -> Tensor:
    """Return the task objective [N] of episodes with `successes` [N] at a tolerance [N], m.

    While the curriculum runs its progress in [0, 1) outweighs successes: 0.01 successes +
    progress. At its end it is successes + 1.

    Source: IsaacGymEnvs `allegro_kuka_utils.py`, tolerance_successes_objective.
    """
    span = cfg.initial_tolerance_m - cfg.target_tolerance_m
    progress = (cfg.initial_tolerance_m - tolerance) / span if span > 0 else tolerance**0
    weight = torch.where(tolerance > cfg.target_tolerance_m, 0.01, 1.0)
    return weight * successes + progress.to(successes.dtype)
