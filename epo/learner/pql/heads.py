"""What the numbers mean that both critics put out: values, or distributions of values."""

from __future__ import annotations

from typing import Dict, Protocol

import torch
from torch import Tensor

from epo.config import PqlCfg
from epo.learner.pql.losses import binary_cross_entropy, cross_entropy, squared_error
from epo.learner.pql.targets import (
    double_q_target,
    elementwise_minimum,
    lesser_distribution,
    project,
)


class Head(Protocol):
    """Turns the output [2, B, D] of the critics into values, targets and losses.

    Attributes:
        width: D.
    """

    width: int

    def value(self, output: Tensor) -> Tensor:
        """Return both critics' values [2, B]."""
        ...

    def target(self, output: Tensor, reward_sum: Tensor, bootstrap: Tensor) -> Tensor:
        """Return what the output at s, a should become, from the target critics' at s', a'."""
        ...

    def target_value(self, target: Tensor) -> Tensor:
        """Return the value [B] that a target stands for."""
        ...

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss [B] of both critics."""
        ...

    def diagnostics(self, target: Tensor) -> Dict[str, Tensor]:
        """Return further numbers about targets, name -> []."""
        ...


class ScalarHead:
    """One number: the value."""

    width = 1

    def value(self, output: Tensor) -> Tensor:
        """Return both critics' values [2, B]."""
        return output.squeeze(-1)

    def target(self, output: Tensor, reward_sum: Tensor, bootstrap: Tensor) -> Tensor:
        """Return the value target [B]."""
        return double_q_target(self.value(output), reward_sum, bootstrap)

    def target_value(self, target: Tensor) -> Tensor:
        """Return the target [B] itself."""
        return target

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the squared error [B]."""
        return squared_error(self.value(output), target)

    def diagnostics(self, target: Tensor) -> Dict[str, Tensor]:
        """Return nothing."""
        return {}


class DistributionalHead:
    """Logits of the probabilities of D values (C51).

    Args:
        cfg: atoms and loss.
        device: of the critics.

    Source: Bellemare et al. 2017; PQL-D in arXiv 2307.12983.
    """

    def __init__(self, cfg: PqlCfg, device: torch.device) -> None:
        self.width = cfg.num_atoms
        first, last = cfg.value_range
        self.atoms = torch.linspace(first, last, cfg.num_atoms, device=device)
        self.is_elementwise = cfg.distributional_loss == "elementwise_min_bce"

    def value(self, output: Tensor) -> Tensor:
        """Return the means [2, B] of both critics' distributions."""
        return output.softmax(-1) @ self.atoms

    def target(self, output: Tensor, reward_sum: Tensor, bootstrap: Tensor) -> Tensor:
        """Return the mass [B, D] that both critics should have."""
        mass = project(output.softmax(-1), reward_sum, bootstrap, self.atoms)
        if self.is_elementwise:
            return elementwise_minimum(mass)
        return lesser_distribution(mass, self.atoms)

    def target_value(self, target: Tensor) -> Tensor:
        """Return the mean [B] of a target."""
        return target @ self.atoms

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the cross entropy [B]."""
        loss = binary_cross_entropy if self.is_elementwise else cross_entropy
        return loss(output, target)

    def diagnostics(self, target: Tensor) -> Dict[str, Tensor]:
        """Return the mass at the edges: values beyond the atoms end there."""
        return {"q/edge_low": target[:, 0].mean(), "q/edge_high": target[:, -1].mean()}


def make_head(cfg: PqlCfg, device: torch.device) -> Head:
    """Return the head that `algo.pql.critic` names."""
    return DistributionalHead(cfg, device) if cfg.critic == "distributional" else ScalarHead()
