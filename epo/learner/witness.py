"""A hook that watches an update closely and tells what was not finite first.

It waits for the device at every step: for updates that are repeated after a failure.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Dict, List, Optional

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from epo.learner.hooks import UpdateHook
from epo.learner.objective import Evaluation, StepResult, Update
from epo.learner.ppo import PPO
from epo.population.fitness import EpisodeReturns
from epo.rollout.storage import Rollout


class Witness(UpdateHook):
    """Note the first quantity of an update that is not finite.

    Args:
        model: whose parameters and gradients are looked at.

    Attributes:
        first: what and where, such as `{"quantity": "gradient", "parameter": "trunk.weight",
            "epoch": 0, "minibatch": 3}`; None: all is finite so far.
    """

    name = "witness"

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.first: Optional[Dict[str, object]] = None
        self._epoch = self._minibatch = 0
        self._handles: List[RemovableHandle] = []

    def on_update_start(self, update: Update) -> None:
        """Look at what the update learns from, and at every gradient as soon as it is there."""
        self._epoch = self._minibatch = 0
        self._watch_gradients()
        for field in fields(update.batch):
            self._see(f"{field.name} of the batch", getattr(update.batch, field.name))
        for name, value in update.rollout.extra.items():
            self._see(name, value)

    def add_to_loss(self, update: Update, found: Evaluation, loss: Tensor) -> Tensor:
        """Look at the network's output and the terms of the loss, before the gradient."""
        env_ids = found.samples.batch.env_ids
        for part in (found.output, found.terms):
            for name, value in part._asdict().items():
                env = _column(value, len(env_ids))
                self._see(name, value, **({} if env is None else {"env": int(env_ids[env])}))
        self._see("loss", loss)
        return loss

    def on_minibatch_end(self, update: Update, result: StepResult) -> None:
        """Check the parameters after the step."""
        for name, parameter in self.model.named_parameters():
            self._see("parameter", parameter, parameter=name)
        self._minibatch += 1

    def on_update_end(self, update: Update) -> None:
        """Stop watching the gradients."""
        self.release()

    def release(self) -> None:
        """Stop watching the gradients."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _watch_gradients(self) -> None:
        """Note the first bad gradient in the order of the backward pass: nearest to the loss."""
        for name, parameter in self.model.named_parameters():

            def look(gradient: Tensor, name: str = name) -> None:
                self._see("gradient", gradient, parameter=name)

            self._handles.append(parameter.register_hook(look))  # pyright: ignore

    def on_epoch_end(self, update: Update) -> None:
        """Count epochs."""
        self._epoch, self._minibatch = self._epoch + 1, 0

    def _see(self, quantity: str, value: object, **where: object) -> None:
        if self.first is not None or not isinstance(value, Tensor):
            return
        if not value.is_floating_point() or bool(torch.isfinite(value).all()):
            return
        place = {"epoch": self._epoch, "minibatch": self._minibatch}
        self.first = {"quantity": quantity, **where, **place}


def first_nonfinite(
    learner: PPO, rollout: Rollout, returns: Optional[EpisodeReturns]
) -> Optional[Dict[str, object]]:
    """Update from a rollout and tell what is not finite first; None if everything is.

    The learner is changed as by any update.
    """
    witness = Witness(learner.model)
    learner.hooks.append(witness)
    try:
        learner.update(rollout, returns)
    finally:
        learner.hooks.remove(witness)
        witness.release()
    if witness.first is None:
        for name, value in learner.model.state_dict().items():
            if not bool(torch.isfinite(value).all()):
                return {"quantity": "statistics", "parameter": name}
    return witness.first


def _column(value: object, num: int) -> Optional[int]:
    """Return the first of the sequences [.., num, ..] on dimension 1 with a number not finite."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return None
    if value.dim() < 2 or value.shape[1] != num:
        return None
    rest: List[int] = [dim for dim in range(value.dim()) if dim != 1]
    wrong = (~torch.isfinite(value)).sum(rest)
    return int(wrong.nonzero()[0]) if bool(wrong.any()) else None
