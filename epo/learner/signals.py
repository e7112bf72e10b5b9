"""Signals of the health of an update, as pure functions of tensors."""

from __future__ import annotations

from typing import Dict, Optional, Sequence

import torch
from torch import Tensor

from epo.learner.losses import Bound, PPOTerms
from epo.ranks.alone import masked_mean

_COUNTS = (
    "samples",
    "positive",
    "negative",
    "killed",
    "killed_pos",
    "killed_neg",
    "wrong_pos",
    "wrong_neg",
    "clipped",
)
_SUMS = ("kl_exact", "kl_k3", "excess", "square", "gain")
NUM_SUMS = len(_COUNTS) + len(_SUMS)
"""Length of `sample_sums`."""


def sample_sums(
    terms: PPOTerms, advantage: Tensor, low: Bound, high: Bound, mask: Optional[Tensor]
) -> Tensor:
    """Add up what `sample_means` divides; sums of minibatches may be added.

    Args:
        terms: per-sample terms [...].
        advantage: [...] standardised.
        low: the clip range begins at 1 - low
        high: and ends at 1 + high.
        mask: [...] bool, samples that count; None: all.

    Returns:
        [14] float64.
    """
    is_above, is_below = terms.ratio > 1.0 + high, terms.ratio < 1.0 - low
    is_positive, is_negative = advantage > 0.0, advantage < 0.0
    excess = terms.ratio - 1.0
    counts = [
        torch.ones_like(is_above),
        is_positive,
        is_negative,
        terms.is_killed,
        is_above & is_positive,
        is_below & is_negative,
        is_below & is_positive,
        is_above & is_negative,
        terms.is_clipped,
    ]
    values = [
        terms.kl_old,
        excess - terms.log_ratio,
        excess,
        excess.square(),
        excess * advantage,
    ]
    counted, summed = torch.stack(counts).flatten(1), torch.stack(values).flatten(1)
    if mask is not None:
        counted, summed = counted & mask.flatten(), torch.where(mask.flatten(), summed, 0.0)
    return torch.cat([counted.sum(1).double(), summed.detach().sum(1).double()])


def sample_means(sums: Tensor) -> Dict[str, Tensor]:
    """Turn `sample_sums` [14] into signals; NaN where nothing was counted.

    Returns:
        kill: share of samples without gradient. kill_pos, kill_neg: of good and of bad actions,
        those beyond the side of the clip range where the gradient is killed. wrong_pos,
        wrong_neg: those beyond the other side, rightly pulled back. clip_frac: share outside.
        kl_exact: KL(old || new); kl_k3: its estimate mean(r - 1 - log r). ratio_mean, ratio_std.
        gain: mean(r A) - mean(A).
    """
    x = dict(zip((*_COUNTS, *_SUMS), sums.unbind()))
    samples, positive, negative = x["samples"], x["positive"], x["negative"]
    excess = x["excess"] / samples
    return {
        "kill": x["killed"] / samples,
        "kill_pos": x["killed_pos"] / positive,
        "kill_neg": x["killed_neg"] / negative,
        "wrong_pos": x["wrong_pos"] / positive,
        "wrong_neg": x["wrong_neg"] / negative,
        "clip_frac": x["clipped"] / samples,
        "kl_exact": x["kl_exact"] / samples,
        "kl_k3": x["kl_k3"] / samples,
        "ratio_mean": 1.0 + excess,
        "ratio_std": (x["square"] / samples - excess.square()).clamp(min=0.0).sqrt(),
        "gain": x["gain"] / samples,
    }


def effective_share(weight: Tensor, block: Tensor, num_blocks: int) -> Tensor:
    """Return the effective share of importance-weighted samples, per block that they came from.

    Args:
        weight: [T, S] importance of every sample.
        block: [S] int64 block of every sequence.
        num_blocks: B.

    Returns:
        [B] 1 for equal weights, 1 / n if one counts alone; NaN for blocks without samples.
    """

    def per_block(value: Tensor) -> Tensor:
        return value.new_zeros(num_blocks).index_add(0, block, value.sum(0))

    weight = weight.double()
    num = per_block(torch.ones_like(weight))
    return share_of_sums(per_block(weight), per_block(weight.square()), num)


def share_of_sums(total: Tensor, square: Tensor, num: Tensor) -> Tensor:
    """Return (sum w)^2 / (n sum w^2), the effective share of n samples of weights w.

    It is 0 where every weight is 0: between policies that lie far apart they underflow.
    """
    return torch.where(square > 0.0, total.square() / (num * square), 0.0 / num)


def smallest(values: Tensor) -> Tensor:
    """Return the least of `values` [B] that is no NaN; NaN if there is none."""
    least = torch.where(values.isnan(), torch.inf, values).amin()
    return torch.where(least.isinf(), torch.nan, least)


def masked_variance(x: Tensor, is_valid: Optional[Tensor]) -> Tensor:
    """Return the variance [] of `x` [...] where `is_valid` [...] holds; everywhere if None."""
    return masked_mean((x - masked_mean(x, is_valid)).square(), is_valid)


def explained_variance(target: Tensor, value: Tensor, is_valid: Optional[Tensor] = None) -> Tensor:
    """Return 1 - Var(target - value) / Var(target) []: 1 perfect, 0 no better than the mean.

    NaN where the targets hardly vary.
    """
    variance = masked_variance(target, is_valid)
    share = 1.0 - masked_variance(target - value, is_valid) / variance
    return torch.where(variance < 1e-8, torch.nan, share)


def advantage_signals(advantage: Tensor, is_valid: Optional[Tensor]) -> Dict[str, Tensor]:
    """Return mean, standard deviation, share of positive ones and largest deviation in them."""
    std = masked_variance(advantage, is_valid).sqrt()
    counted = advantage if is_valid is None else advantage * is_valid
    return {
        "advantage_mean": masked_mean(advantage, is_valid),
        "advantage_std": std,
        "advantage_positive": masked_mean((advantage > 0.0).to(advantage.dtype), is_valid),
        "advantage_peak": counted.abs().amax() / (std + 1e-8),
    }


def block_std(advantage: Tensor, num_blocks: int, is_valid: Optional[Tensor] = None) -> Tensor:
    """Return the standard deviation [K] of the advantages [T, N] of every agent's block."""
    weight = torch.ones_like(advantage) if is_valid is None else is_valid.to(advantage.dtype)

    def per_block(value: Tensor) -> Tensor:
        of_blocks = (value * weight).reshape(len(value), num_blocks, -1)  # [T, K, E]
        return of_blocks.sum((0, 2))

    count = per_block(weight).clamp(min=1.0)
    mean = per_block(advantage) / count
    deviation = advantage - mean.repeat_interleave(advantage.shape[1] // num_blocks)
    return (per_block(deviation.square()) / count).sqrt()


def penalty_share(kl: Tensor, coef: Tensor, gain: Tensor) -> Tensor:
    """Return how much of the policy's objective the penalty is, in [0, 1].

    Args:
        kl: [] mean KL divergence.
        coef: [] its weight, beta.
        gain: [] mean of r A minus mean of A.
    """
    penalty = coef * kl
    return penalty / (gain.abs() + penalty + 1e-8)


def subsample(value: Tensor, num: int) -> Tensor:
    """Return at most `num` evenly spaced elements of `value` [...], as a vector."""
    flat = value.flatten()
    stride = -(-flat.numel() // num)
    return flat[::stride]


def quantile(value: Tensor, level: float) -> Tensor:
    """Return the element of `value` [n] nearest to the quantile `level`; NaN does not count."""
    ordered = value.sort().values  # NaN last
    last = (~value.isnan()).sum() - 1
    rank = (last * level).round().long().clamp(min=0)
    return ordered.index_select(0, rank.view(1)).squeeze(0)


def norm(tensors: Sequence[Tensor]) -> Tensor:
    """Return the Euclidean norm [] of all `tensors` together."""
    return torch.stack([tensor.detach().square().sum() for tensor in tensors]).sum().sqrt()
