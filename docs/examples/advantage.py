"""An advantage estimator: returns over n steps instead of GAE.

python train.py plugins=[advantage] algo=ppo algo.ppo.advantage=n_step algo.own.n_step.steps=5
"""

from dataclasses import dataclass

import torch

from epo.components import advantages
from epo.learner.advantage import Estimate


@dataclass
class NStepCfg:
    """Settings, here `algo.own.n_step.steps`."""

    steps: int = 5
    """n, control steps of reward before the critic's value."""


@advantages.register("n_step", settings=NStepCfg)
def n_step(rollout, ppo, settings):
    """Return advantage and target, each [T, N], of a `epo.rollout.storage.Rollout`.

    G_t = r_t + gamma r_{t+1} + ... + gamma^n V(o_{t+n}), cut where an episode or the rollout ends.
    """
    done, value = rollout.is_first[1:], rollout.value  # [T, N], [T + 1, N]
    at_end = torch.zeros_like(rollout.reward)
    if rollout.terminal_value is not None:  # ended by the time limit: bootstrap
        at_end = rollout.terminal_value
    target = value[1:]  # of the state after step t
    for _ in range(settings.steps):
        target = rollout.reward + ppo.gamma * torch.where(done, at_end, target)
        # G_t needs the next one of a step less; the last of the rollout has the critic alone.
        returns, target = target, torch.cat([target[1:], value[-1:]])
    return Estimate(returns - value[:-1], returns)
