"""Generalised advantage estimation."""

from __future__ import annotations

from typing import Optional, Tuple

import torch
from torch import Tensor


def gae(
    reward: Tensor,
    value: Tensor,
    is_first: Tensor,
    *,
    gamma: float,
    lam: float,
    terminal_value: Optional[Tensor] = None,
) -> Tuple[Tensor, Tensor]:
    """Estimate advantages and return targets along time.

    Args:
        reward: [T, N] reward after each action, any unit.
        value: [T + 1, N] critic estimate before each action and after the last one.
        is_first: [T + 1, N] bool, the observation begins an episode; step t ended one if
            is_first[t + 1]. is_first[0] has no influence.
        gamma: discount per control step, in [0, 1].
        lam: decay of the trace, in [0, 1].
        terminal_value: [T, N] value of the state in which an episode ended, read only there;
            None: 0 (a true end).

    Returns:
        advantage [T, N] and return target [T, N], in the unit of reward.

    Raises:
        ValueError: if the leading shapes do not fit.

    Source: Schulman et al. 2016, eq. 16.
    """
    horizon = reward.shape[0]
    if value.shape[0] != horizon + 1 or is_first.shape != value.shape:
        raise ValueError(
            f"gae: reward {tuple(reward.shape)} needs value and is_first of one step more, "
            f"got {tuple(value.shape)} and {tuple(is_first.shape)}"
        )
    done = is_first[1:]
    at_end = torch.zeros_like(reward) if terminal_value is None else terminal_value
    # delta_t = r_t + gamma V'_{t+1} - V_t;  V' = at_end where step t ended an episode, else V
    delta = reward + gamma * torch.where(done, at_end, value[1:]) - value[:-1]  # [T, N]
    decay = gamma * lam * (~done).to(reward.dtype)  # [T, N]
    advantage = torch.empty_like(reward)
    trace = torch.zeros_like(reward[0])  # [N]
    for t in range(horizon - 1, -1, -1):
        # A_t = delta_t + gamma lambda (1 - done_t) A_{t+1}   (GAE, eq. 16, written as a recursion)
        trace = delta[t] + decay[t] * trace
        advantage[t] = trace
    # G_t = A_t + V_t, the lambda-return
    return advantage, advantage + value[:-1]
