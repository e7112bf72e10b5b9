"""A number of every sample from the rollout to the loss: a cost with a bound (PPO-Lagrangian).

python train.py plugins=[quantity] algo=ppo algo.ppo.quantities=[speed] algo.hooks=[speed_limit]
"""

from dataclasses import dataclass

import torch

from epo.components import hooks, quantities
from epo.learner.hooks import UpdateHook
from epo.rollout.storage import Quantity

# All there is to it: what to read of a control step. The loss finds it as `samples.extra["speed"]`.
quantities.register("speed", Quantity(lambda step: step.observation[:, -1].abs()))


@dataclass
class SpeedLimitCfg:
    """Settings, here `algo.own.speed_limit.limit` and `.rate`."""

    limit: float = 1.0
    """Mean speed that is allowed."""
    rate: float = 0.05
    """By which the multiplier follows the excess, per update."""


@hooks.register("speed_limit", settings=SpeedLimitCfg)
class SpeedLimit(UpdateHook):
    """Makes fast actions less likely while the mean speed is above the limit."""

    def __init__(self, parts, settings):
        self.settings, self.ranks = settings, parts.objective.ranks
        self._multiplier = torch.zeros((), device=parts.objective.model.log_std.device)

    def on_update_start(self, update):
        """Raise or lower the multiplier by the rollout's mean; nothing waits for the device."""
        speed = update.rollout.extra["speed"]  # [T, N]
        excess = self.ranks.mean(speed, update.rollout.is_valid) - self.settings.limit
        self._mean = speed.mean(dim=1, keepdim=True)  # [T, 1] baseline
        self._multiplier = (self._multiplier + self.settings.rate * excess).clamp(min=0.0)

    def add_to_loss(self, update, found, loss):
        """Add multiplier * mean(ratio * (cost - baseline)) for the samples."""
        excess = found.samples.extra["speed"] - self._mean  # [T, B]
        cost = self.ranks.mean(found.terms.ratio * excess, found.samples.is_valid)
        return loss + self._multiplier * cost

    def metrics(self):
        """Return columns of metrics.csv."""
        return {"speed_limit/multiplier": self._multiplier}

    def state_dict(self):
        """Return what changes, for the checkpoint."""
        return {"multiplier": self._multiplier.clone()}

    def load_state_dict(self, state):
        """Continue where `state_dict` was taken."""
        self._multiplier = state["multiplier"].to(self._multiplier)
