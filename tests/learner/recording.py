"""A learner that remembers its optimiser steps."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple

from torch import Tensor

from epo.learner.objective import StepResult
from epo.learner.ppo import PPO


class RecordedStep(NamedTuple):
    """One optimiser step: its input, what it saw, and the weights after it."""

    epoch: int
    ids: Tensor
    learning_rate: Tensor
    result: StepResult
    weights: Dict[str, Tensor]


class RecordingPPO(PPO):
    """Keep what every optimiser step saw, and the weights after it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.record: List[RecordedStep] = []

    def step(self, update, ids, epoch) -> StepResult:
        learning_rate = self.learning_rate.clone()
        result = super().step(update, ids, epoch)
        weights = {k: v.detach().clone() for k, v in self.model.named_parameters()}
        self.record.append(RecordedStep(epoch, ids, learning_rate, result, weights))
        return result
