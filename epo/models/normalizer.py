"""Running mean and variance of a stream of vectors."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from epo.ranks import ALONE, Ranks


class Change(NamedTuple):
    """How normalised values change when the statistics do: x_before = ratio * x_now + shift.

    Attributes:
        ratio, shift: [D] float64.
    """

    ratio: Tensor
    shift: Tensor


class RunningNormalizer(nn.Module):
    """Normalise vectors by the mean and variance of everything seen so far.

    Statistics are float64 buffers and start at mean 0, variance 1, count 1; use is in the
    input's own precision. Batches are merged with their unbiased variance.

    Args:
        dim: D, length of a vector.
        clip: bound of normalised values, standard deviations.
        is_enabled: False makes every method the identity.

    Source: parallel variance of Chan et al. 1979 as applied in rl_games' RunningMeanStd;
        statistics checked number by number against the SAPG and EPO forks.
    """

    mean: Tensor
    var: Tensor
    count: Tensor

    _EPS = 1e-5

    def __init__(self, dim: int, clip: float = 5.0, is_enabled: bool = True) -> None:
        super().__init__()
        self.clip = clip
        self.is_enabled = is_enabled
        self.register_buffer("mean", torch.zeros(dim, dtype=torch.float64))
        self.register_buffer("var", torch.ones(dim, dtype=torch.float64))
        self.register_buffer("count", torch.ones((), dtype=torch.float64))

    @torch.no_grad()
    def update(self, x: Tensor, ranks: Ranks = ALONE) -> None:
        """Merge a batch `x` [..., D] of at least two vectors into the statistics.

        A batch whose mean or variance is not finite changes nothing.

        Args:
            x: this rank's part of the batch.
            ranks: that share the statistics.
        """
        if not self.is_enabled:
            return
        num, batch_mean, batch_var = ranks.moments(x.reshape(-1, x.shape[-1]))
        total = self.count + num
        delta = batch_mean - self.mean
        # M2 = var_a n_a + var_b n_b + delta^2 n_a n_b / (n_a + n_b)
        second_moment = (
            self.var * self.count + batch_var * num + delta.square() * self.count * num / total
        )
        # A batch with an infinity in it would stay in the statistics for good: it is left out,
        # and whoever watches the batch says so. No wait for the device.
        is_sound = second_moment.isfinite().all() & delta.isfinite().all()
        self.mean.add_(torch.where(is_sound, delta * (num / total), 0.0))
        self.var.copy_(torch.where(is_sound, second_moment / total, self.var))
        self.count.copy_(torch.where(is_sound, total, self.count))

    @torch.no_grad()
    def update_and_compare(self, x: Tensor, ranks: Ranks = ALONE) -> Change:
        """Update, and return what that does to normalised values.

        The first batch ever counts as no change: what was before it is no measurement.
        """
        mean, var, is_first = self.mean.clone(), self.var.clone(), self.count <= 1.0
        self.update(x, ranks)
        # (x - m) / s = (s' / s) (x - m') / s' + (m' - m) / s
        std = (var + self._EPS).sqrt()
        ratio = torch.where(is_first, 1.0, (self.var + self._EPS).sqrt() / std)
        return Change(ratio, torch.where(is_first, 0.0, (self.mean - mean) / std))

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` [..., D] in standard deviations from the mean, clamped to +-clip."""
        if not self.is_enabled:
            return x
        scale = (self.var.to(x.dtype) + self._EPS).rsqrt()
        return ((x - self.mean.to(x.dtype)) * scale).clamp(-self.clip, self.clip)

    def denormalize(self, y: Tensor) -> Tensor:
        """Return normalised values `y` [..., D], clamped to +-clip, in their original unit."""
        if not self.is_enabled:
            return y
        scale = (self.var.to(y.dtype) + self._EPS).sqrt()
        return y.clamp(-self.clip, self.clip) * scale + self.mean.to(y.dtype)
