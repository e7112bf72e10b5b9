"""A KL penalty that keeps followers near the leader, so that it can use their data."""

from __future__ import annotations

from typing import Dict

import torch
from torch import Tensor

from epo.config import AggregationCfg
from epo.learner.hooks import UpdateHook
from epo.learner.objective import Evaluation, Objective, Update


class FollowerLeash(UpdateHook):
    """Add coef * KL(follower || leader before the update) on the sequences the leader draws.

    The importance ratio of a follower's action under the leader's policy is what SAPG learns
    with; its second moment grows exponentially with the divergence of the two. The leader's
    policy on these sequences is known from relabelling, so the term costs no forward pass.

    Args:
        cfg: coefficient.
        objective: PPO's loss; gives the model.

    Source: ours; the divergence is the closed form of the policy's family.
    """

    name = "follower_leash"

    def __init__(self, cfg: AggregationCfg, objective: Objective) -> None:
        self.cfg = cfg
        self.model = objective.model
        self.ranks = objective.ranks
        self._position = torch.zeros(0)
        self._sum = torch.zeros(())
        self._count = 0

    def on_update_start(self, update: Update) -> None:
        """Record the position of every environment among the drawn sequences; -1: not drawn."""
        assert update.extra is not None  # only built where followers' data is used
        env_ids = update.extra.env_ids
        position = torch.full_like(update.rollout.agent, -1)
        self._position = position.index_copy(
            0, env_ids, torch.arange(len(env_ids), device=env_ids.device)
        )
        self._sum, self._count = torch.zeros((), device=env_ids.device), 0

    def add_to_loss(self, update: Update, found: Evaluation, loss: Tensor) -> Tensor:
        """Return the loss [] with the leash of the own sequences among the samples."""
        extra, batch = update.extra, found.samples.batch
        assert extra is not None
        position = self._position[batch.env_ids]
        is_held = (position >= 0) & ~batch.is_off_policy
        at = position.clamp(min=0)
        kl = self.model.distribution.exact_kl(
            found.output.mean,
            found.output.log_std,
            extra.old_mean[:, at],
            extra.old_log_std[at],
        )
        is_valid = found.samples.is_valid
        held = is_held.expand_as(kl) if is_valid is None else is_held & is_valid
        divergence = self.ranks.mean(kl, held)
        self._sum, self._count = self._sum + divergence.detach(), self._count + 1
        # The share of such samples, as in any other term of the mean.
        return loss + self.cfg.follower_kl_coef * divergence * self.ranks.mean(held.to(kl.dtype))

    def metrics(self) -> Dict[str, Tensor]:
        """Return the mean divergence over the update's minibatches, nats."""
        return {"kl/follower_to_leader": self._sum / max(1, self._count)}
