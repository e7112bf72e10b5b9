"""The PPO objective as per-sample tensors, without reduction or side effects."""

from __future__ import annotations

from typing import NamedTuple, Optional, Tuple, Union, cast

import torch
from torch import Tensor

from epo.learner.batch import PreparedBatch
from epo.models.actor_critic import PolicyOutput
from epo.models.distribution import Distribution

Bound = Union[float, Tensor]
"""Half a clip range: a number, or a [] tensor on the device of the samples."""


class PPOTerms(NamedTuple):
    """Per-sample terms, each [...]: what the loss, the metrics and the diagnostics share.

    Attributes:
        log_ratio: logarithm of
        ratio: probability ratio of the new policy to the reference policy.
        surrogate: clipped surrogate, to be minimised.
        value_loss: (clipped) squared error of the normalised value.
        entropy: nats.
        bounds: squared excess of the action mean over the soft bound, summed over dimensions.
        kl: KL(new || recent), nats, as the adaptive step size measures it; recent is the policy
            of the last pass over these samples.
        kl_old: KL(old || new), nats, exact; old is the learning agent's policy before the update.
        is_clipped: bool, ratio outside its clip range, whatever the sign of the advantage.
        is_killed: bool, outside on the side where clipping leaves no gradient.

    Source: Schulman et al. 2017; coefficients and the bounds term as in rl_games.
    """

    log_ratio: Tensor
    ratio: Tensor
    surrogate: Tensor
    value_loss: Tensor
    entropy: Tensor
    bounds: Tensor
    kl: Tensor
    kl_old: Tensor
    is_clipped: Tensor
    is_killed: Tensor


def clipped_surrogate(
    ratio: Tensor, advantage: Tensor, weight: Tensor, clip_low: Bound, clip_high: Bound
) -> Tensor:
    """Return weight * max(-ratio * advantage, -clip(ratio) * advantage), per sample.

    With `ratio` taken against the leader's policy before the update and `weight` the importance
    of that policy over the behaviour, this is the clip range centred on the importance:
    m max(-r A, -clip(r) A) = max(-m r A, -clip(m r, m (1 - eps), m (1 + eps)) A).

    Source: Schulman et al. 2017, eq. 7; SAPG (arXiv 2407.20230), eq. 3.
    """
    low, high = 1.0 - clip_low, 1.0 + clip_high
    # Both are numbers or both are tensors, which the type of clamp cannot say.
    clipped = cast(Tensor, ratio.clamp(low, high))  # pyright: ignore
    # L_pi = m max(-r A, -clip(r, 1 - eps, 1 + eps) A)   (PPO eq. 7, negated; m = 1 on-policy)
    return weight * torch.maximum(-ratio * advantage, -clipped * advantage)


def squared_value_error(
    value: Tensor, old_value: Tensor, target: Tensor, clip_eps: Optional[float]
) -> Tensor:
    """Return the squared error to `target`, pessimistic over an update clipped to +-clip_eps.

    None: the update is not clipped.
    """
    # L_V = max((V - G)^2, (V_old + clip(V - V_old, -eps, eps) - G)^2)   (rl_games; baselines' PPO2)
    error = (value - target).square()
    if clip_eps is None:
        return error
    clipped = old_value + (value - old_value).clamp(-clip_eps, clip_eps)
    return torch.maximum(error, (clipped - target).square())


def clipping(
    ratio: Tensor, advantage: Tensor, clip_low: Bound, clip_high: Bound
) -> Tuple[Tensor, Tensor]:
    """Return where [...] the ratio is outside the clip range, and where that stops its gradient."""
    is_below, is_above = ratio < 1.0 - clip_low, ratio > 1.0 + clip_high
    # The gradient is 0 only where clipping lowers the objective: A > 0 above, A < 0 below.
    is_killed = torch.where(advantage > 0.0, is_above, is_below & (advantage < 0.0))
    return is_below | is_above, is_killed


def ppo_terms(
    distribution: Distribution,
    new: PolicyOutput,
    action: Tensor,
    batch: PreparedBatch,
    *,
    clip_low: Bound,
    clip_high: Bound,
    value_clip_eps: Optional[float],
    soft_bound: float,
) -> PPOTerms:
    """Evaluate all terms of the objective for every sample.

    Args:
        distribution: family of the policies.
        new: mean [..., D], log_std [..., D] and normalised value [...] of the current network.
        action: [..., A] unclamped action taken.
        batch: of these samples, each of its tensors [...] or [..., D].
        clip_low: the ratio is clipped to at least 1 - clip_low,
        clip_high: and to at most 1 + clip_high.
        value_clip_eps: clip the value update to +-this, normalised; None: do not.
        soft_bound: action mean beyond which the bounds term starts.
    """
    mean, log_std, advantage = new.mean, new.log_std, batch.advantage
    # r = pi_new(a | s) / pi_ref(a | s)   (PPO section 3)
    log_ratio = distribution.log_prob(action, mean, log_std) - batch.log_prob  # [...]
    ratio = log_ratio.exp()
    is_clipped, is_killed = clipping(ratio, advantage, clip_low, clip_high)
    return PPOTerms(
        log_ratio=log_ratio,
        ratio=ratio,
        surrogate=clipped_surrogate(ratio, advantage, batch.weight, clip_low, clip_high),
        value_loss=squared_value_error(new.value, batch.value, batch.target, value_clip_eps),
        entropy=distribution.entropy(mean, log_std),
        bounds=distribution.bounds(mean, soft_bound),
        kl=distribution.kl(mean, log_std, batch.recent_mean, batch.recent_log_std),
        kl_old=distribution.exact_kl(batch.old_mean, batch.old_log_std, mean, log_std),
        is_clipped=is_clipped,
        is_killed=is_killed,
    )
