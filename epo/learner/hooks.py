"""What can happen during an update besides gradient steps."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Sequence

import torch
from torch import Tensor, nn

from epo.config import AlgoCfg
from epo.learner.objective import Evaluation, Objective, StepResult, Update
from epo.ranks import Deal
from epo.rollout.storage import Rollout


class HookParts(NamedTuple):
    """What a hook may be built from.

    Attributes:
        cfg: of the algorithm.
        objective: PPO's loss; gives the model and the ranks.
        optimizer: of the model's parameters.
        deal: of the environments.
        seed: of the hook's own random numbers.
    """

    cfg: AlgoCfg
    objective: Objective
    optimizer: torch.optim.Optimizer
    deal: Deal
    seed: int


class UpdateHook:
    """Does nothing; subclasses override what they need.

    A hook may change parameters. Its random numbers come from a generator of its own, so that
    switching it on does not change anybody else's.

    Attributes:
        name: of its entry in the checkpoint; one of your own gets that of `algo.hooks`.
    """

    name = ""

    def shape(self, rollout: Rollout) -> Rollout:
        """Return the rollout that agents learn from as their own, such as with another reward."""
        return rollout

    def on_update_start(self, update: Update) -> None:
        """Inspect what the update learns from, before the first minibatch."""

    def add_to_loss(self, update: Update, found: Evaluation, loss: Tensor) -> Tensor:
        """Return the loss [] with the hook's own term for `found.samples`."""
        return loss

    def on_minibatch_end(self, update: Update, result: StepResult) -> None:
        """Inspect the result of an optimiser step, after the step."""

    def on_epoch_end(self, update: Update) -> None:
        """Act at the end of a pass over the batch."""

    def on_update_end(self, update: Update) -> None:
        """Act after the last epoch, before the observation statistics move."""

    def on_rows_replaced(self, parameter: nn.Parameter, rows: Sequence[int]) -> None:
        """React to rows of `parameter` that now belong to new agents."""

    def metrics(self) -> Dict[str, Tensor]:
        """Return the numbers of the last update, name -> [] tensor; NaN is no value."""
        return {}

    def state_dict(self) -> Dict[str, Any]:
        """Everything that changes."""
        return {}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""

    def begin_anew(self) -> None:
        """Start from the present weights: the checkpoint just loaded has no state of this hook."""
