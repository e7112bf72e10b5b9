"""The sequences that one update learns from: each agent's own, and relabelled ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from epo.config import PPOCfg
from epo.learner.aggregation import Relabelled
from epo.rollout.gae import gae
from epo.rollout.storage import Rollout


@dataclass
class SequenceBatch:
    """S = N + relabelled sequences of T steps; observations and actions stay in the rollout.

    Attributes:
        env_ids: [S] column of the rollout that holds the sequence.
        agent: [S] agent that learns from it.
        is_off_policy: [S] bool.
        log_prob: [T, S] of the action under the reference policy of the ratio.
        weight: [T, S] weight of the surrogate, 1 for on-policy data.
        value: [T, S] old value; de-normalised at first, normalised for the update.
        target: [T, S] return, likewise.
        advantage: [T, S]; standardised over the whole batch for the update.
        raw_advantage: [T, S] before that, in the unit of scaled rewards.
        old_mean, old_log_std: [T, S, D], [S, D] policy of the learning agent before the update.
        mean, log_std: [T, S, D], [S, D] the same at first, then the policy that the sequence was
            last evaluated under.
    """

    env_ids: Tensor
    agent: Tensor
    is_off_policy: Tensor
    log_prob: Tensor
    weight: Tensor
    value: Tensor
    target: Tensor
    advantage: Tensor
    raw_advantage: Tensor
    old_mean: Tensor
    old_log_std: Tensor
    mean: Tensor
    log_std: Tensor

    @property
    def num_sequences(self) -> int:
        """Return S, the number of sequences."""
        return self.env_ids.shape[0]


class Sequences(NamedTuple):
    """What a network needs to evaluate B sequences of T steps, see `ActorCritic.forward`."""

    observation: Tensor
    agent: Tensor
    memory: Tensor
    is_first: Tensor

    def first(self, steps: int) -> Sequences:
        """Return their first steps, or all of them if there are fewer."""
        return self._replace(observation=self.observation[:steps], is_first=self.is_first[:steps])


def sequences_of(rollout: Rollout, env_ids: Tensor, agent: Tensor) -> Sequences:
    """Return the network's input for the sequences `env_ids` [B], each under `agent` [B]."""
    return Sequences(
        rollout.observation[:-1].index_select(1, env_ids),
        agent,
        rollout.memory[:, env_ids],
        rollout.is_first[:-1, env_ids],
    )


def on_policy_batch(rollout: Rollout, gamma: float, lam: float) -> SequenceBatch:
    """Return every environment's own sequence with its GAE advantage and return."""
    advantage, target = gae(
        rollout.reward,
        rollout.value,
        rollout.is_first,
        gamma=gamma,
        lam=lam,
        terminal_value=rollout.terminal_value,
    )
    return SequenceBatch(
        env_ids=torch.arange(rollout.num_envs, device=rollout.agent.device),
        agent=rollout.agent,
        is_off_policy=torch.zeros_like(rollout.agent, dtype=torch.bool),
        log_prob=rollout.log_prob,
        weight=torch.ones_like(rollout.log_prob),
        value=rollout.value[:-1],
        target=target,
        advantage=advantage,
        raw_advantage=advantage,
        old_mean=rollout.mean,
        old_log_std=rollout.log_std[rollout.agent],
        mean=rollout.mean.clone(),
        log_std=rollout.log_std[rollout.agent],
    )


def append(batch: SequenceBatch, extra: Optional[Relabelled]) -> SequenceBatch:
    """Return `batch` followed by the relabelled sequences."""
    if extra is None:
        return batch

    def join(own: Tensor, other: Tensor, dim: int) -> Tensor:
        return torch.cat([own, other], dim=dim)

    return SequenceBatch(
        env_ids=join(batch.env_ids, extra.env_ids, 0),
        agent=join(batch.agent, extra.agent, 0),
        is_off_policy=join(batch.is_off_policy, torch.ones_like(extra.agent, dtype=torch.bool), 0),
        log_prob=join(batch.log_prob, extra.log_prob, 1),
        weight=join(batch.weight, extra.weight, 1),
        value=join(batch.value, extra.value, 1),
        target=join(batch.target, extra.target, 1),
        advantage=join(batch.advantage, extra.advantage, 1),
        raw_advantage=join(batch.raw_advantage, extra.advantage, 1),
        old_mean=join(batch.old_mean, extra.learner_mean, 1),
        old_log_std=join(batch.old_log_std, extra.learner_log_std, 0),
        mean=join(batch.mean, extra.mean, 1),
        log_std=join(batch.log_std, extra.log_std, 0),
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
