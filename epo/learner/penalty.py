"""The penalty on KL(old || new) and the rule that adapts its weight (PPO-KL)."""

from __future__ import annotations

from typing import Any, Dict, Optional, Protocol

import torch
from torch import Tensor

from epo.config import PenaltyCfg

_TOLERANCE = 1.5
_FACTOR = 2.0


class Penalty(Protocol):
    """A term of the loss that grows with the KL divergence from the collecting policy."""

    @property
    def coef(self) -> Tensor:
        """Return beta [], the weight of the KL."""
        ...

    def loss(self, kl: Tensor) -> Tensor:
        """Return the term [] for a mean `kl` [] over a minibatch."""
        ...

    def end_update(self, kl: Tensor) -> None:
        """Record the mean `kl` [] of the update's last epoch."""
        ...

    def state_dict(self) -> Dict[str, Any]:
        """Everything that changes."""
        ...

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        ...


def adapt_coef(coef: Tensor, kl: Tensor, cfg: PenaltyCfg) -> Tensor:
    """Return the beta [] of the next update: halved below target / 1.5, doubled above 1.5 target.

    Source: Schulman et al. 2017, section 4. Deviates: bounds.
    """
    # beta <- beta / 2 if KL < target / 1.5,  2 beta if KL > 1.5 target   (PPO section 4)
    smaller = (coef / _FACTOR).clamp(min=cfg.min_coef)
    larger = (coef * _FACTOR).clamp(max=cfg.max_coef)
    kept = torch.where(kl < cfg.kl_target / _TOLERANCE, smaller, coef)
    return torch.where(kl > cfg.kl_target * _TOLERANCE, larger, kept)


class KLPenalty:
    """beta KL, and a hinge where the KL exceeds twice its target; beta fixed or adaptive.

    Args:
        cfg: of the penalty; `coef` is read again in every update if it is fixed.
        device: where beta lives.

    Source: Schulman et al. 2017, section 4; the hinge as in TF-Agents' PPO-KL agent.
    """

    def __init__(self, cfg: PenaltyCfg, device: torch.device) -> None:
        self.cfg = cfg
        self._adaptive = torch.tensor(cfg.coef, dtype=torch.float64).to(device)

    @property
    def coef(self) -> Tensor:
        """Return beta []."""
        if self.cfg.kind == "fixed":
            return torch.full_like(self._adaptive, self.cfg.coef)
        return self._adaptive

    def loss(self, kl: Tensor) -> Tensor:
        """Return beta KL + hinge_coef max(0, KL - 2 target)^2."""
        loss = self.coef.to(kl) * kl
        if self.cfg.hinge_coef:
            excess = (kl - 2.0 * self.cfg.kl_target).clamp(min=0.0)
            loss = loss + self.cfg.hinge_coef * excess.square()
        return loss

    def end_update(self, kl: Tensor) -> None:
        """Adapt beta."""
        if self.cfg.kind == "adaptive":
            self._adaptive = adapt_coef(self._adaptive, kl, self.cfg)

    def state_dict(self) -> Dict[str, Any]:
        """Return beta."""
        return {"coef": self._adaptive.clone()}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._adaptive = state["coef"].to(self._adaptive.device, copy=True)


def make_penalty(cfg: PenaltyCfg, device: torch.device) -> Optional[KLPenalty]:
    """Return the penalty that `cfg` asks for; None: no penalty."""
    return None if cfg.kind == "none" else KLPenalty(cfg, device)
