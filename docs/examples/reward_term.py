"""A term on top of the task's reward: what the actions cost.

python train.py plugins=[reward_term] algo.ppo.reward_terms=[effort] algo.own.effort.weight=0.02
"""

from dataclasses import dataclass

from epo.components import reward_terms


@dataclass
class EffortCfg:
    """Settings, here `algo.own.effort.weight`."""

    weight: float = 0.01
    """Cost of a squared action per control step, task units."""


@reward_terms.register("effort", settings=EffortCfg)
def effort(step, action, settings):
    """Return [N] the cost of the actions [N, A]; `step` is the result of them."""
    return -settings.weight * action.clamp(-1.0, 1.0).square().sum(dim=1)
