"""A hook on the update: followers pay for actions far from what the leader would do.

python train.py plugins=[follower_penalty] algo=epo algo.hooks=[near_leader] \
    algo.own.near_leader.coef=0.01
"""

from dataclasses import dataclass

import torch

from epo.components import hooks
from epo.learner.hooks import UpdateHook


@dataclass
class NearLeaderCfg:
    """Settings, here `algo.own.near_leader.coef`."""

    coef: float = 0.01
    """Weight of the squared distance of the means, per action dimension."""


@hooks.register("near_leader", settings=NearLeaderCfg)
class NearLeader(UpdateHook):
    """Adds coef * |mean - leader's mean|^2 on the followers' own samples.

    Args:
        parts: what a hook may be built from, `epo.learner.hooks.HookParts`.
        settings: as above.
    """

    def __init__(self, parts, settings):
        self.settings = settings
        self.model = parts.objective.model
        self.ranks = parts.objective.ranks
        self._distance = torch.zeros(())

    def add_to_loss(self, update, found, loss):
        """Return the loss [] with the penalty on `found.samples`."""
        samples, leader = found.samples, self.model.num_agents - 1
        with torch.no_grad():
            agent = torch.full_like(samples.batch.agent, leader)
            target = self.model(*samples.sequences._replace(agent=agent)).mean  # [T, B, D]
        distance = (found.output.mean - target).square().mean(dim=-1)  # [T, B]
        is_follower = (samples.batch.agent != leader).expand_as(distance)
        # A mean over all ranks; the gradients of the ranks are added up.
        mean = self.ranks.mean(distance, is_follower)
        self._distance = mean.detach()
        return loss + self.settings.coef * mean

    def metrics(self):
        """Return a column of metrics.csv; tensors stay on the device."""
        return {"near_leader/distance": self._distance}
