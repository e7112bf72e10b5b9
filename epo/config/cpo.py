"""Followers that stay near the leader, and learn to differ from it (CPO, arXiv 2603.01741).

`C` in a source means the released code of CPO, its bugs set aside; the paper's body was not
available to us. `R` means our own choice. All terms are off unless their coefficient is set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Optional


@dataclass
class AwacCfg:
    """Followers clone the leader's actions, the better ones more (advantage-weighted)."""

    beta: float = 0.0
    """Weight of the cloning loss; 0: off (C: 1e-3 and 5e-4 by task)."""
    temperature: float = 0.2
    """lambda_awac: a standardised advantage of this size weighs e times (C: 0.2, 0.1 by task)."""
    max_weight: float = 100.0
    """Bound of the weight (C)."""
    ratio: float = 1.0
    """Share of the leader's block that every follower clones (C: all of it; with 64 agents that
    doubles the batch)."""


@dataclass
class AdversaryCfg:
    """A discriminator that tells the agents apart, and rewards followers that it knows."""

    coef: float = 0.0
    """c: weight of log p(agent | observation, action), learning units; 0: off (C: 0.01, 1e-3)."""
    mlp_units: List[int] = field(default_factory=lambda: [256, 128])
    """Widths of its ELU layers (R; C: 1024-1024-512-512 on hands)."""
    learning_rate: Optional[float] = None
    """Constant step size of its Adam; None: `algo.ppo.learning_rate` (C)."""


@dataclass
class CpoCfg:
    """What CPO adds to SAPG; needs a leader, `algo.aggregation.mode=leader_follower`."""

    lambda_kl: float = 0.0
    """Weight of log pi_leader - log pi_follower in a follower's standardised advantage; 0: off
    (C: 0 in every published setting; the paper's value is unknown)."""
    awac: AwacCfg = field(default_factory=AwacCfg)
    """Cloning of the leader."""
    adversary: AdversaryCfg = field(default_factory=AdversaryCfg)
    """Reward for being told apart."""
