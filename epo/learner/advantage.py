"""What estimates the advantages of the agents' own data; `algo.ppo.advantage` chooses by name."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor

from epo.config import PPOCfg
from epo.learner.gae import gae
from epo.rollout.storage import Rollout


class Estimate(NamedTuple):
    """What the critic and the policy learn towards, in the unit of scaled rewards.

    Attributes:
        advantage: [T, N] of every action.
        target: [T, N] return that the value is regressed on.
    """

    advantage: Tensor
    target: Tensor


class Estimator(Protocol):
    """A function from a rollout to its advantages; it leaves the rollout as it is."""

    def __call__(self, rollout: Rollout, cfg: PPOCfg) -> Estimate:
        """Estimate; `cfg` holds discount and trace decay, which may change between updates."""
        ...


def gae_estimate(rollout: Rollout, cfg: PPOCfg) -> Estimate:
    """Return generalised advantages and lambda-returns."""
    return Estimate(
        *gae(
            rollout.reward,
            rollout.value,
            rollout.is_first,
            gamma=cfg.gamma,
            lam=cfg.gae_lambda,
            terminal_value=rollout.terminal_value,
        )
    )
