"""What the critics should predict, as pure functions of the target critic's output."""

from __future__ import annotations

from torch import Tensor


def double_q_target(value: Tensor, reward_sum: Tensor, bootstrap: Tensor) -> Tensor:
    """Return R + b min_k Q_k(s', a') [B].

    Args:
        value: [2, B] of both target critics at s' and a'.
        reward_sum: [B] R.
        bootstrap: [B] b.

    Source: clipped double Q-learning (Fujimoto et al. 2018, eq. 10), n-step as in PQL.
    """
    return reward_sum + bootstrap * value.amin(dim=0)


def project(mass: Tensor, reward_sum: Tensor, bootstrap: Tensor, atoms: Tensor) -> Tensor:
    """Return the distribution of R + b Z on the atoms of Z.

    Every atom's mass goes to the two atoms that its image lies between, the more the nearer;
    images outside go to the first or last atom.

    Args:
        mass: [..., B, D] probability of every atom of Z at s'.
        reward_sum: [B] R.
        bootstrap: [B] b.
        atoms: [D] evenly spaced values, scaled rewards.

    Source: Bellemare et al. 2017, algorithm 1.
    """
    last = atoms.shape[0] - 1
    first, step = atoms[0], (atoms[-1] - atoms[0]) / last
    image = reward_sum.unsqueeze(-1) + bootstrap.unsqueeze(-1) * atoms  # [B, D]
    position = ((image - first) / step).clamp(0.0, float(last))
    # The last atom counts as the upper neighbour: no image is without one.
    lower = position.floor().clamp(max=last - 1)
    to_upper = (position - lower).expand_as(mass)
    index = lower.long().expand_as(mass)
    projected = mass.new_zeros(mass.shape).scatter_add_(-1, index, mass * (1.0 - to_upper))
    return projected.scatter_add_(-1, index + 1, mass * to_upper)


def lesser_distribution(mass: Tensor, atoms: Tensor) -> Tensor:
    """Return, per sample, the distribution of lesser mean.

    Args:
        mass: [2, B, D].
        atoms: [D].
    """
    mean = mass @ atoms  # [2, B]
    return mass[0].where((mean[0] <= mean[1]).unsqueeze(-1), mass[1])


def elementwise_minimum(mass: Tensor) -> Tensor:
    """Return the lesser of both masses [2, B, D] of every atom; they add up to at most 1.

    Source: PQL repository, distributional critic.
    """
    return mass.amin(dim=0)
