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
    # y = R + b min_k Q'_k(s', a')   (TD3 eq. 10; b = gamma^n (1 - terminated))
    return reward_sum + bootstrap * value.amin(dim=0)  # [2, B] -> [B]


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
    # z'_j = R + b z_j,  p_j = clip((z'_j - z_0) / dz, 0, D - 1)   (C51, algorithm 1)
    image = reward_sum.unsqueeze(-1) + bootstrap.unsqueeze(-1) * atoms  # [B, D]
    position = ((image - first) / step).clamp(0.0, float(last))  # [B, D]
    # The last atom counts as the upper neighbour: no image is without one.
    lower = position.floor().clamp(max=last - 1)
    to_upper = (position - lower).expand_as(mass)
    index = lower.long().expand_as(mass)
    # m_l += q_j (1 - (p_j - l)),  m_{l+1} += q_j (p_j - l),  l = floor(p_j)
    projected = mass.new_zeros(mass.shape).scatter_add_(-1, index, mass * (1.0 - to_upper))
    return projected.scatter_add_(-1, index + 1, mass * to_upper)


def lesser_distribution(mass: Tensor, atoms: Tensor) -> Tensor:
    """Return, per sample, the distribution of lesser mean.

    Args:
        mass: [2, B, D].
        atoms: [D].
    """
    # E[Z_k] = sum_i q_ki z_i; the distribution of the smaller mean stands for min_k Q_k
    mean = mass @ atoms  # [2, B, D] -> [2, B]
    return mass[0].where((mean[0] <= mean[1]).unsqueeze(-1), mass[1])


def elementwise_minimum(mass: Tensor) -> Tensor:
    """Return the lesser of both masses [2, B, D] of every atom; they add up to at most 1.

    Source: PQL repository, distributional critic.
    """
    return mass.amin(dim=0)
