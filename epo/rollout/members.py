"""Collection for agents that share nothing: own reward weights, own part of the rollout."""

from __future__ import annotations

from typing import Any, Optional

import torch
from torch import Tensor

from epo.envs import Step
from epo.ranks import ALONE, Deal
from epo.rollout.collector import Collector


class MemberCollector(Collector):
    """A collector whose agents may weigh the terms of their reward.

    Args:
        num_terms: R, reward terms of the task.

    Attributes:
        weights: [R, N] factor of every term; 1 is the task's own reward.
    """

    def __init__(self, *args: Any, num_terms: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The ranks' members lie one after another: one block of the run, cut into equal parts.
        self.deal = Deal(1, len(self.agent), kwargs.get("ranks", ALONE), self.env.device)
        self.weights = torch.ones(num_terms, len(self.agent), device=self.env.device)

    def learning_reward(self, step: Step) -> Tensor:
        """Return the reward [N] to learn from, task units."""
        if step.reward_terms is None:
            return step.reward
        return step.reward + ((self.weights - 1.0) * step.reward_terms).sum(0)

    def restart(self, envs: slice, observation: Optional[Tensor]) -> None:
        """Forget what the former policy of some environments left in them.

        Args:
            envs: the environments.
            observation: [E, O] first observations of their new episodes; None: the present
                episodes continue, with an empty memory.
        """
        if observation is not None:
            self._rollout.observation[-1, envs] = observation
            if self._rollout.state is not None:
                self._rollout.state[-1, envs] = self._present_state()[envs]
        self._rollout.is_first[-1, envs] = True
        self._memory[:, envs] = 0.0
