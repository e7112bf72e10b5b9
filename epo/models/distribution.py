"""Distributions over actions, as pure functions of what the policy head puts out.

`mean` is that output: the mean of a Gaussian, the logits of a categorical distribution. `log_std`
belongs to the agent, not to the state; a categorical distribution has none (width 0).
"""

from __future__ import annotations

import math
from functools import reduce
from typing import Iterable, Optional, Protocol, Sequence

import torch
from torch import Tensor

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


class Distribution(Protocol):
    """A family of distributions; D numbers from the policy head give one action of width A."""

    def action_width(self, dim: int) -> int:
        """Return A for D = `dim`."""
        ...

    def log_std_width(self, dim: int) -> int:
        """Return the width of an agent's log standard deviation for D = `dim`."""
        ...

    def noise(self, mean: Tensor, generator: Optional[torch.Generator]) -> Tensor:
        """Draw the noise [..., D] of one action per policy [..., D]."""
        ...

    def sample(self, mean: Tensor, log_std: Tensor, noise: Tensor) -> Tensor:
        """Turn noise [..., D] into actions [..., A]."""
        ...

    def encode(self, action: Tensor, dim: int) -> Tensor:
        """Return actions [..., A] as D = `dim` numbers that a network can take."""
        ...

    def mode(self, mean: Tensor) -> Tensor:
        """Return the most likely actions [..., A]."""
        ...

    def log_prob(self, action: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
        """Return the log probability (density) [...] of actions [..., A]."""
        ...

    def entropy(self, mean: Tensor, log_std: Tensor) -> Tensor:
        """Return the entropy [...], nats."""
        ...

    def kl(self, mean: Tensor, log_std: Tensor, old_mean: Tensor, old_log_std: Tensor) -> Tensor:
        """Return KL(new || old) [...], nats, as the adaptive step size measures it."""
        ...

    def exact_kl(
        self, mean: Tensor, log_std: Tensor, other_mean: Tensor, other_log_std: Tensor
    ) -> Tensor:
        """Return KL(first || other) [...], nats, exactly."""
        ...

    def bounds(self, mean: Tensor, soft_bound: float) -> Tensor:
        """Return the squared excess [...] of the mean over +-soft_bound; 0 without a mean."""
        ...


class DiagonalGaussian:
    """Independent normal distributions, D = A; the densities are of unclamped actions."""

    def action_width(self, dim: int) -> int:
        """Return A for D = `dim`."""
        return dim

    def log_std_width(self, dim: int) -> int:
        """Return the width of an agent's log standard deviation."""
        return dim

    def noise(self, mean: Tensor, generator: Optional[torch.Generator]) -> Tensor:
        """Draw standard normal noise [..., A]."""
        return torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)

    def sample(self, mean: Tensor, log_std: Tensor, noise: Tensor) -> Tensor:
        """Return mean + std * noise."""
        return mean + log_std.exp() * noise

    def encode(self, action: Tensor, dim: int) -> Tensor:
        """Return the actions as environments clamp them."""
        return action.clamp(-1.0, 1.0)

    def mode(self, mean: Tensor) -> Tensor:
        """Return the mean."""
        return mean

    def log_prob(self, action: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
        """Return the log density [...] of the unclamped `action` [..., A]."""
        return log_prob(action, mean, log_std)

    def entropy(self, mean: Tensor, log_std: Tensor) -> Tensor:
        """Return the differential entropy [...], nats; the mean only gives the shape."""
        return entropy(log_std).expand(mean.shape[:-1])

    def kl(self, mean: Tensor, log_std: Tensor, old_mean: Tensor, old_log_std: Tensor) -> Tensor:
        """Return KL(new || old) [...] with rl_games' guards, see `kl_divergence`."""
        return kl_divergence(mean, log_std, old_mean, old_log_std)

    def exact_kl(
        self, mean: Tensor, log_std: Tensor, other_mean: Tensor, other_log_std: Tensor
    ) -> Tensor:
        """Return the sum of log(s' / s) + (s^2 + (m - m')^2) / (2 s'^2) - 1/2 over A."""
        # KL = sum log(s' / s) + (s^2 + (m - m')^2) / (2 s'^2) - 1/2
        log_ratio = other_log_std - log_std
        squares = (2.0 * log_std).exp() + (mean - other_mean).square()
        return (log_ratio + 0.5 * squares * (-2.0 * other_log_std).exp() - 0.5).sum(-1)

    def bounds(self, mean: Tensor, soft_bound: float) -> Tensor:
        """Return the sum over A of the squared excess of `mean` [..., A] over +-soft_bound."""
        return bounds_excess(mean, soft_bound)


class Categorical:
    """One of D choices; the action is its index, a number of width 1."""

    def action_width(self, dim: int) -> int:
        """Return 1."""
        return 1

    def log_std_width(self, dim: int) -> int:
        """Return 0: logits hold everything."""
        return 0

    def noise(self, mean: Tensor, generator: Optional[torch.Generator]) -> Tensor:
        """Draw Gumbel noise [..., D]: -log of an exponential."""
        return -torch.empty_like(mean).exponential_(generator=generator).log()

    def sample(self, mean: Tensor, log_std: Tensor, noise: Tensor) -> Tensor:
        """Return the index [..., 1] of the largest perturbed logit (Gumbel-max)."""
        return self.mode(mean + noise)

    def encode(self, action: Tensor, dim: int) -> Tensor:
        """Return 1 at the choice and 0 elsewhere."""
        choice = action.squeeze(-1).long()
        return torch.nn.functional.one_hot(choice, dim).to(action.dtype)

    def mode(self, mean: Tensor) -> Tensor:
        """Return the index [..., 1] of the largest logit."""
        return mean.argmax(-1, keepdim=True).to(mean.dtype)

    def log_prob(self, action: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
        """Return the log probability [...] of the choices `action` [..., 1]."""
        return mean.log_softmax(-1).gather(-1, action.long()).squeeze(-1)

    def entropy(self, mean: Tensor, log_std: Tensor) -> Tensor:
        """Return the entropy [...], nats, at most log D."""
        log_p = mean.log_softmax(-1)
        return -(log_p.exp() * log_p).sum(-1)

    def kl(self, mean: Tensor, log_std: Tensor, old_mean: Tensor, old_log_std: Tensor) -> Tensor:
        """Return KL(new || old) [...], nats."""
        return self.exact_kl(mean, log_std, old_mean, old_log_std)

    def exact_kl(
        self, mean: Tensor, log_std: Tensor, other_mean: Tensor, other_log_std: Tensor
    ) -> Tensor:
        """Return the sum of p (log p - log q) over D."""
        log_p = mean.log_softmax(-1)
        return (log_p.exp() * (log_p - other_mean.log_softmax(-1))).sum(-1)

    def bounds(self, mean: Tensor, soft_bound: float) -> Tensor:
        """Return 0: logits have no bounds."""
        return mean.new_zeros(mean.shape[:-1])


class Categoricals:
    """Several independent choices; the action holds their indices, D is the sum of all choices.

    Args:
        choices: of each component, C of them.
    """

    def __init__(self, choices: Sequence[int]) -> None:
        self.choices = tuple(choices)
        self._one = Categorical()

    def action_width(self, dim: int) -> int:
        """Return C."""
        return len(self.choices)

    def log_std_width(self, dim: int) -> int:
        """Return 0: logits hold everything."""
        return 0

    def noise(self, mean: Tensor, generator: Optional[torch.Generator]) -> Tensor:
        """Draw Gumbel noise [..., D]."""
        return self._one.noise(mean, generator)

    def sample(self, mean: Tensor, log_std: Tensor, noise: Tensor) -> Tensor:
        """Return the index of every component's largest perturbed logit [..., C]."""
        return self.mode(mean + noise)

    def encode(self, action: Tensor, dim: int) -> Tensor:
        """Return 1 at every component's choice and 0 elsewhere."""
        pairs = zip(action.split(1, -1), self.choices)
        return torch.cat([self._one.encode(choice, num) for choice, num in pairs], -1)

    def mode(self, mean: Tensor) -> Tensor:
        """Return the index of every component's largest logit [..., C]."""
        return torch.cat([self._one.mode(logits) for logits in self._split(mean)], -1)

    def log_prob(self, action: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
        """Return the log probability [...]: the sum over the components of log p_c(a_c)."""
        pairs = zip(action.split(1, -1), self._split(mean))
        return _total(self._one.log_prob(a, logits, log_std) for a, logits in pairs)

    def entropy(self, mean: Tensor, log_std: Tensor) -> Tensor:
        """Return the entropy [...], nats: the sum over the components."""
        return _total(self._one.entropy(logits, log_std) for logits in self._split(mean))

    def kl(self, mean: Tensor, log_std: Tensor, old_mean: Tensor, old_log_std: Tensor) -> Tensor:
        """Return KL(new || old) [...], nats."""
        return self.exact_kl(mean, log_std, old_mean, old_log_std)

    def exact_kl(
        self, mean: Tensor, log_std: Tensor, other_mean: Tensor, other_log_std: Tensor
    ) -> Tensor:
        """Return the sum over the components, which are independent, of their divergences."""
        pairs = zip(self._split(mean), self._split(other_mean))
        return _total(self._one.exact_kl(p, log_std, q, other_log_std) for p, q in pairs)

    def bounds(self, mean: Tensor, soft_bound: float) -> Tensor:
        """Return 0: logits have no bounds."""
        return self._one.bounds(mean, soft_bound)

    def _split(self, mean: Tensor) -> Sequence[Tensor]:
        """Return the logits of each component."""
        return mean.split(self.choices, -1)


def make_distribution(choices: Sequence[int]) -> Distribution:
    """Build the family for actions of so many choices per component; for none: a Gaussian."""
    if not choices:
        return DiagonalGaussian()
    return Categorical() if len(choices) == 1 else Categoricals(choices)


def log_prob(action: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Return the log density [...] of the unclamped `action` [..., A] of a diagonal Gaussian."""
    # log p = -sum (z^2 / 2 + log s + log(2 pi) / 2),  z = (a - m) / s
    z = (action - mean) * (-log_std).exp()
    return -(0.5 * z.square() + log_std + _HALF_LOG_2PI).sum(-1)


def entropy(log_std: Tensor) -> Tensor:
    """Return the differential entropy [...] of a diagonal Gaussian, nats, for [..., A]."""
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


def _total(terms: Iterable[Tensor]) -> Tensor:
    return reduce(torch.add, terms)


def bounds_excess(mean: Tensor, soft_bound: float) -> Tensor:
    """Return the sum over A of the squared excess of `mean` [..., A] over +-soft_bound."""
    return (mean.abs() - soft_bound).clamp(min=0.0).square().sum(-1)
