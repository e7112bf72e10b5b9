"""The sequences that one update learns from: each agent's own, and relabelled ones."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple, TypeVar

import torch
from torch import Tensor

from epo.config import PPOCfg
from epo.learner.advantage import Estimate
from epo.rollout.storage import Rollout

Batch = TypeVar("Batch", bound="Sequential")


PER_SEQUENCE = {"dim": 0}
"""Of a field [S, ...] that holds an entry per sequence; the others are [T, S, ...]."""


@dataclass
class Sequential:
    """S sequences of T steps; observations and actions stay in the rollout.

    A new field is appended, and reaches the loss, without another word.

    Attributes:
        env_ids: [S] column of the rollout that holds the sequence.
        agent: [S] agent that learns from it.
        is_off_policy: [S] bool.
        log_prob: [T, S] of the action under the reference policy of the ratio.
        weight: [T, S] weight of the surrogate, 1 for on-policy data.
        old_mean, old_log_std: [T, S, D], [S, D] policy of the learning agent before the update.
        recent_mean, recent_log_std: [T, S, D], [S, D] policy that the step size's KL is measured
            against in the next pass.
    """

    env_ids: Tensor = field(metadata=PER_SEQUENCE)
    agent: Tensor = field(metadata=PER_SEQUENCE)
    is_off_policy: Tensor = field(metadata=PER_SEQUENCE)
    log_prob: Tensor
    weight: Tensor
    old_mean: Tensor
    old_log_std: Tensor = field(metadata=PER_SEQUENCE)
    recent_mean: Tensor
    recent_log_std: Tensor = field(metadata=PER_SEQUENCE)

    @property
    def num_sequences(self) -> int:
        """Return S, the number of sequences."""
        return self.env_ids.shape[0]

    def take(self: Batch, ids: Tensor) -> Batch:
        """Return the sequences `ids` [B]."""
        return self._each(lambda name, dim: getattr(self, name)[(slice(None),) * dim + (ids,)])

    def append(self: Batch, other: Optional[Batch]) -> Batch:
        """Return these sequences followed by the `other` ones."""
        if other is None:
            return self
        return self._each(
            lambda name, dim: torch.cat([getattr(self, name), getattr(other, name)], dim=dim)
        )

    def _each(self: Batch, value: Callable[[str, int], Tensor]) -> Batch:
        found = {each.name: value(each.name, each.metadata.get("dim", 1)) for each in fields(self)}
        return replace(self, **found)


@dataclass
class RawBatch(Sequential):
    """Sequences in the unit of scaled rewards, as they were collected and estimated.

    Attributes:
        value: [T, S] old value.
        target: [T, S] return.
        advantage: [T, S].
    """

    value: Tensor
    target: Tensor
    advantage: Tensor

    def prepared(self, value: Tensor, target: Tensor, advantage: Tensor) -> PreparedBatch:
        """Return the batch with what the loss reads in their place."""
        own = {each.name: getattr(self, each.name) for each in fields(PreparedBatch)}
        return PreparedBatch(**{**own, "value": value, "target": target, "advantage": advantage})


@dataclass
class PreparedBatch(Sequential):
    """Sequences as the loss reads them.

    Attributes:
        value: [T, S] old value, normalised.
        target: [T, S] return, normalised.
        advantage: [T, S] standardised over the whole batch.
    """

    value: Tensor
    target: Tensor
    advantage: Tensor


class Sequences(NamedTuple):
    """What a network needs to evaluate B sequences of T steps, see `ActorCritic.forward`."""

    observation: Tensor
    agent: Tensor
    memory: Tensor
    is_first: Tensor
    state: Optional[Tensor] = None

    def first(self, steps: int) -> Sequences:
        """Return their first steps, or all of them if there are fewer."""
        return self._replace(
            observation=self.observation[:steps],
            is_first=self.is_first[:steps],
            state=None if self.state is None else self.state[:steps],
        )


class Samples(NamedTuple):
    """All that the loss reads of B sequences of T steps.

    Attributes:
        ids: [B] sequences of the batch.
        batch: what was prepared of them.
        sequences: the network's input.
        action: [T, B, A] unclamped.
        is_valid: [T, B] bool, the step is experience; None: all are.
        extra: name -> [T, B, ...] what `algo.ppo.quantities` names, as it was collected.
    """

    ids: Tensor
    batch: PreparedBatch
    sequences: Sequences
    action: Tensor
    is_valid: Optional[Tensor]
    extra: Dict[str, Tensor]


def sequences_of(rollout: Rollout, env_ids: Tensor, agent: Tensor) -> Sequences:
    """Return the network's input for the sequences `env_ids` [B], each under `agent` [B]."""
    return Sequences(
        rollout.observation[:-1].index_select(1, env_ids),
        agent,
        rollout.memory[:, env_ids],
        rollout.is_first[:-1, env_ids],
        None if rollout.state is None else rollout.state[:-1].index_select(1, env_ids),
    )


def samples_of(rollout: Rollout, batch: PreparedBatch, ids: Tensor) -> Samples:
    """Return the sequences `ids` [B] of a batch, with what the rollout holds of them."""
    taken = batch.take(ids)
    env_ids, is_valid = taken.env_ids, rollout.is_valid
    return Samples(
        ids,
        taken,
        sequences_of(rollout, env_ids, taken.agent),
        rollout.action[:, env_ids],
        None if is_valid is None else is_valid[:, env_ids],
        {name: value[:, env_ids] for name, value in rollout.extra.items()},
    )


def on_policy_batch(rollout: Rollout, estimate: Estimate) -> RawBatch:
    """Return every environment's own sequence with its advantage and return.

    The rollout stays as it is: what an update overwrites, `recent_...`, is a copy.
    """
    return RawBatch(
        env_ids=torch.arange(rollout.num_envs, device=rollout.agent.device),
        agent=rollout.agent,
        is_off_policy=torch.zeros_like(rollout.agent, dtype=torch.bool),
        log_prob=rollout.log_prob,
        weight=torch.ones_like(rollout.log_prob),
        old_mean=rollout.mean,
        old_log_std=rollout.log_std[rollout.agent],
        recent_mean=rollout.mean.clone(),
        recent_log_std=rollout.log_std[rollout.agent],
        value=rollout.value[:-1],
        target=estimate.target,
        advantage=estimate.advantage,
    )


def minibatch_spans(num_sequences: int, horizon: int, cfg: PPOCfg) -> List[Tuple[int, int]]:
    """Return (start, end) of every minibatch in the order of sequences; the last takes the rest.

    Of a `minibatch_size` the configuration leaves no rest (`config.batch.check_batch`); the
    original's own runs have one.

    Raises:
        ValueError: if there are fewer sequences than one minibatch needs.
    """
    if cfg.minibatch_size is not None:
        size = cfg.minibatch_size // horizon
    else:
        size = num_sequences // cfg.num_minibatches
    count = num_sequences // size if size else 0
    if count == 0:
        raise ValueError(
            f"{num_sequences} sequences of {horizon} steps are fewer than one minibatch: "
            "lower algo.ppo.minibatch_size or algo.ppo.num_minibatches, or raise num_envs"
        )
    if cfg.minibatch_size is None:
        count = cfg.num_minibatches
    starts = [i * size for i in range(count)]
    return list(zip(starts, [*starts[1:], num_sequences]))
