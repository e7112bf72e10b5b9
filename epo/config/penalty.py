"""The penalty on the divergence from the policy that collected the data (PPO-KL)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class PenaltyCfg:
    """beta KL(old || new) in the loss; off unless `kind` is set."""

    kind: str = "none"
    """`none`; `fixed`: beta stays at `coef`; `adaptive`: after an update beta is halved or doubled
    to keep the KL near its target (Schulman et al. 2017, section 4)."""
    coef: float = 1.0
    """beta, for `adaptive` the first one (Schulman et al. 2017: unimportant)."""
    kl_target: float = 0.01
    """KL per update that `adaptive` aims at, nats (Schulman et al. 2017: 0.003, 0.01, 0.03)."""
    min_coef: float = 1e-4
    """Lower bound of the adaptive beta (ours)."""
    max_coef: float = 1e2
    """Upper bound of the adaptive beta (ours)."""
    hinge_coef: float = 0.0
    """Weight of (KL - 2 kl_target)^2 where the KL is larger than that; 0: off (TF-Agents: 1000)."""
