"""The diagonal Gaussian over actions, as pure functions of mean and log standard deviation."""

from __future__ import annotations

import math

from torch import Tensor

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


def log_prob(action: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Return the log density [...] of the unclamped `action` [..., A]."""
    z = (action - mean) * (-log_std).exp()
    return -(0.5 * z.square() + log_std + _HALF_LOG_2PI).sum(-1)


def entropy(log_std: Tensor) -> Tensor:
    """Return the differential entropy [...], nats, for `log_std` [..., A]."""
    return (log_std + 0.5 + _HALF_LOG_2PI).sum(-1)


def kl_divergence(mean: Tensor, log_std: Tensor, old_mean: Tensor, old_log_std: Tensor) -> Tensor:
    """Return KL(new || old) [...], nats, of diagonal Gaussians [..., A].

    The two 1e-5 are the original's guards against division by zero: equal policies give
    sum(1e-5 - 0.5e-5 / std^2) instead of 0, about +-1e-5 per action dimension.

    Source: rl_games `policy_kl`, which the published KL thresholds were tuned with.
    """
    old_var = (2.0 * old_log_std).exp()
    log_ratio = ((old_log_std - log_std).exp() + 1e-5).log()
    squares = (2.0 * log_std).exp() + (mean - old_mean).square()
    return (log_ratio + squares / (2.0 * (old_var + 1e-5)) - 0.5).sum(-1)
