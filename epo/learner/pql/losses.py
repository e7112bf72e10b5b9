"""Losses of both critics against one target, per sample."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812 (torch's own convention)
from torch import Tensor


def squared_error(value: Tensor, target: Tensor) -> Tensor:
    """Return the sum over critics of (Q_k - y)^2, [B], for [2, B] and [B]."""
    return (value - target).square().sum(dim=0)


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the sum over critics of -sum_i m_i log p_i, [B], nats.

    Args:
        logits: [2, B, D].
        target: [B, D] probability m of every atom.
    """
    return -(target * logits.log_softmax(-1)).sum(dim=(0, 2))


def binary_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the sum over critics of the mean over atoms of -m log p - (1 - m) log(1 - p), [B].

    Args:
        logits: [2, B, D], of the softmax that gives p.
        target: [B, D] m in [0, 1] of every atom.

    Source: PQL repository, distributional critic.
    """
    mass = logits.softmax(-1)
    loss = F.binary_cross_entropy(mass, target.expand_as(mass), reduction="none")
    return loss.mean(-1).sum(0)
