"""Adam with a device-side step size, its KL schedule and the reset of single rows."""

from __future__ import annotations

from typing import Iterable, List, Sequence

import torch
from torch import Tensor, nn

from epo.config import PPOCfg


def make_adam(parameters: Iterable[nn.Parameter], learning_rate: Tensor, eps: float):
    """Return Adam whose step size is the tensor `learning_rate` [], edited in place."""
    return torch.optim.Adam(parameters, lr=learning_rate, eps=eps, fused=True)


def adapt_learning_rate(learning_rate: Tensor, kl: Tensor, cfg: PPOCfg) -> Tensor:
    """Return the step size for the next epoch.

    Args:
        learning_rate: [] current step size.
        kl: [] mean KL divergence of the epoch, nats.
        cfg: target, factor and bounds.

    Source: rl_games AdaptiveScheduler: above twice the target divide, below half of it multiply.
    """
    smaller = (learning_rate / cfg.learning_rate_factor).clamp(min=cfg.min_learning_rate)
    larger = (learning_rate * cfg.learning_rate_factor).clamp(max=cfg.max_learning_rate)
    kept = torch.where(kl < 0.5 * cfg.kl_target, larger, learning_rate)
    return torch.where(kl > 2.0 * cfg.kl_target, smaller, kept)


def fixed_learning_rate(frames: int, cfg: PPOCfg) -> float:
    """Return the step size of an update that begins after so many frames, without a KL schedule.

    Args:
        frames: environment frames before this rollout.
        cfg: first step size, frames until it is down at its lower bound.
    """
    if cfg.decay_frames is None:
        return cfg.learning_rate
    left = max(0.0, 1.0 - frames / cfg.decay_frames)
    return max(cfg.min_learning_rate, left * cfg.learning_rate)


@torch.no_grad()
def swap_rows(
    optimizer: torch.optim.Optimizer, parameter: nn.Parameter, row: int, other: int
) -> None:
    """Exchange two rows of `parameter` with both of their Adam moments, in place."""
    tensors: List[Tensor] = [parameter]
    state = optimizer.state.get(parameter)
    if state:
        tensors += [state["exp_avg"], state["exp_avg_sq"]]
    for tensor in tensors:
        tensor[[row, other]] = tensor[[other, row]]


@torch.no_grad()
def reset_moments(
    optimizer: torch.optim.Optimizer, parameter: nn.Parameter, rows: Sequence[int]
) -> None:
    """Zero both Adam moments of `rows` of `parameter`, as if they had just been created.

    The step count is shared by all rows of a tensor and stays, so late in a run a new row moves
    faster: under a constant gradient its n-th step is (1 - 0.9^n) / sqrt(1 - 0.999^n) step sizes
    long, 3.2 at first, at most 6.6 (n = 12), 3.2 at n = 100 and 1.3 at n = 1000.
    """
    state = optimizer.state.get(parameter)
    if not state:
        return
    index = torch.as_tensor(list(rows), dtype=torch.int64, device=parameter.device)
    state["exp_avg"].index_fill_(0, index, 0.0)
    state["exp_avg_sq"].index_fill_(0, index, 0.0)
