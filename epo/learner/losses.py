"""The PPO objective as per-sample tensors, without reduction or side effects."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from epo.models.distribution import Distribution


class PPOTerms(NamedTuple):
    """Per-sample terms, each [...]: what the loss, the metrics and the diagnostics share.

    Attributes:
        ratio: probability ratio of the new policy to the reference policy.
        surrogate: clipped surrogate, to be minimised.
        value_loss: (clipped) squared error of the normalised value.
        entropy: nats.
        bounds: squared excess of the action mean over the soft bound, summed over dimensions.
        kl: KL(new || old), nats.
        is_clipped: bool, ratio outside its clip range, whatever the sign of the advantage.
    """

    ratio: Tensor
    surrogate: Tensor
    value_loss: Tensor
    entropy: Tensor
    bounds: Tensor
    kl: Tensor
    is_clipped: Tensor


def clipped_surrogate(
    ratio: Tensor, advantage: Tensor, weight: Tensor, clip_low: float, clip_high: float
) -> Tensor:
    """Return weight * max(-ratio * advantage, -clip(ratio) * advantage), per sample.

    With `ratio` taken against the leader's policy before the update and `weight` the importance
    of that policy over the behaviour, this is the clip range centred on the importance:
    m max(-r A, -clip(r) A) = max(-m r A, -clip(m r, m (1 - eps), m (1 + eps)) A).

    Source: Schulman et al. 2017, eq. 7; SAPG (arXiv 2407.20230), eq. 3.
    """
    clipped = ratio.clamp(1.0 - clip_low, 1.0 + clip_high)
    return weight * torch.maximum(-ratio * advantage, -clipped * advantage)


def squared_value_error(
    value: Tensor, old_value: Tensor, target: Tensor, clip_eps: float, is_clipped: bool
) -> Tensor:
    """Return the squared error to `target`, pessimistic over an update clipped to +-clip_eps."""
    error = (value - target).square()
    if not is_clipped:
        return error
    clipped = old_value + (value - old_value).clamp(-clip_eps, clip_eps)
    return torch.maximum(error, (clipped - target).square())


def ppo_terms(
    distribution: Distribution,
    *,
    mean: Tensor,
    log_std: Tensor,
    value: Tensor,
    action: Tensor,
    old_log_prob: Tensor,
    old_mean: Tensor,
    old_log_std: Tensor,
    old_value: Tensor,
    advantage: Tensor,
    target: Tensor,
    weight: Tensor,
    clip_low: float,
    clip_high: float,
    clip_value: bool,
    soft_bound: float,
) -> PPOTerms:
    """Evaluate all terms of the objective for every sample.

    Args:
        distribution: family of the policies.
        mean: [..., D] of the current policy.
        log_std: [..., D] of the current policy.
        value: [...] current normalised value.
        action: [..., A] unclamped action taken.
        old_log_prob: [...] of the action under the reference policy of the ratio.
        old_mean: [..., D] of the policy that the KL is measured against.
        old_log_std: [..., D] of the same policy.
        old_value: [...] normalised value at collection.
        advantage: [...] standardised advantage.
        target: [...] normalised return.
        weight: [...] importance of the sample, 1 for on-policy data.
        clip_low: the ratio is clipped to at least 1 - clip_low,
        clip_high: and to at most 1 + clip_high.
        clip_value: clip the value update to +-clip_high.
        soft_bound: action mean beyond which the bounds term starts.

    Source: Schulman et al. 2017; coefficients and the bounds term as in rl_games.
    """
    ratio = (distribution.log_prob(action, mean, log_std) - old_log_prob).exp()
    return PPOTerms(
        ratio=ratio,
        surrogate=clipped_surrogate(ratio, advantage, weight, clip_low, clip_high),
        value_loss=squared_value_error(value, old_value, target, clip_high, clip_value),
        entropy=distribution.entropy(mean, log_std),
        bounds=distribution.bounds(mean, soft_bound),
        kl=distribution.kl(mean, log_std, old_mean, old_log_std),
        is_clipped=(ratio < 1.0 - clip_low) | (ratio > 1.0 + clip_high),
    )
