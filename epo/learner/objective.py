"""The loss of sequences under the present weights: one definition for training and for tests.

What minimises it, POEM's comparison of a mutant with its parent and the diagnostics all read the
same per-sample terms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, NamedTuple, Optional

from torch import Tensor

from epo.config import AggregationCfg, PPOCfg
from epo.learner.aggregation import Relabelled, entropy_ladder
from epo.learner.batch import PreparedBatch, Samples, Sequences, samples_of, sequences_of
from epo.learner.clip import ClipRange, Standing
from epo.learner.losses import PPOTerms, ppo_terms
from epo.learner.penalty import Penalty
from epo.models.actor_critic import ActorCritic, PolicyOutput
from epo.models.compiled import compile_network, compiled
from epo.ranks import ALONE, Ranks
from epo.rollout.storage import Rollout


@dataclass
class Update:
    """What one update learns from, and within which bounds.

    Attributes:
        rollout: what was collected.
        batch: sequences to learn from, own and relabelled.
        raw_advantage: [T, S] theirs before standardisation, in the unit of scaled rewards.
        extra: the relabelled ones alone, or None.
        clip: clip range of the ratio.
        standing: of the run and of the leader.
        num_sequences: S, of all ranks.
        drawn: environments of the run whose sequences are relabelled, on all ranks; None: none.
        num_present: B, sequences of the present minibatch, of all ranks.
    """

    rollout: Rollout
    batch: PreparedBatch
    raw_advantage: Tensor
    extra: Optional[Relabelled]
    clip: ClipRange
    standing: Standing
    num_sequences: int
    drawn: Optional[Tensor] = None
    num_present: int = 0

    def sequences(self, ids: Tensor) -> Sequences:
        """Return the network's input for the sequences `ids` [B] of the batch."""
        return sequences_of(self.rollout, self.batch.env_ids[ids], self.batch.agent[ids])

    def take(self, ids: Tensor) -> Samples:
        """Return all that the loss reads of the sequences `ids` [B] of the batch."""
        return samples_of(self.rollout, self.batch, ids)

    def is_valid(self, ids: Tensor) -> Optional[Tensor]:
        """Return which steps [T, B] of the sequences are experience; None: all are."""
        is_valid = self.rollout.is_valid
        return None if is_valid is None else is_valid[:, self.batch.env_ids[ids]]


class Evaluation(NamedTuple):
    """The objective of some sequences.

    Attributes:
        samples: what was evaluated.
        terms: per-sample terms [T, B].
        output: of the network.
        kl_old: [] mean KL(old || new), nats, valid samples.
        loss: [] what is minimised, penalty included.
    """

    samples: Samples
    terms: PPOTerms
    output: PolicyOutput
    kl_old: Tensor
    loss: Tensor


class StepResult(NamedTuple):
    """What one optimiser step saw before it changed the weights.

    Attributes:
        ids: [B] sequences of the batch.
        terms: per-sample terms [T, B].
        loss: [] total loss.
        kl: [] mean KL divergence that the step size follows.
        kl_old: [] mean KL(old || new).
        grad_norm: [] global gradient norm before clipping.
        is_fine: [] bool, the step was taken; None: it always is.
    """

    ids: Tensor
    terms: PPOTerms
    loss: Tensor
    kl: Tensor
    kl_old: Tensor
    grad_norm: Tensor
    is_fine: Optional[Tensor] = None


class Objective:
    """PPO's loss of a population that shares one network.

    Args:
        model: the shared actor-critic.
        ppo: coefficients, read again whenever they are used.
        aggregation: scale of the followers' entropy ladder.
        penalty: on the KL divergence, or None.
        ranks: whose samples the means are of.
    """

    def __init__(
        self,
        model: ActorCritic,
        ppo: PPOCfg,
        aggregation: AggregationCfg,
        penalty: Optional[Penalty],
        ranks: Ranks = ALONE,
    ) -> None:
        self.model = model
        self.ppo = ppo
        self.aggregation = aggregation
        self.penalty = penalty
        self.ranks = ranks
        self._terms: Callable[..., PPOTerms] = ppo_terms

    def compile(self) -> None:
        """Compile the network and the terms of the loss.

        Raises:
            ConfigError: if this torch is too old.
        """
        compile_network(self.model)
        self._terms = compiled(ppo_terms)

    @property
    def entropy_coef(self) -> Tensor:
        """Entropy coefficients of the agents [K]."""
        model, scale = self.model, self.aggregation.entropy_scale
        ladder = entropy_ladder(model.num_agents, scale, model.log_std)
        return (ladder + self.ppo.entropy_coef).detach()

    def evaluate(self, update: Update, ids: Tensor) -> Evaluation:
        """Evaluate the sequences `ids` [B] of the update's batch."""
        samples, ppo = update.take(ids), self.ppo
        output = self.model(*samples.sequences)
        terms = self._terms(
            self.model.distribution,
            output,
            samples.action,
            samples.batch,
            clip_low=update.clip.low,
            clip_high=update.clip.high,
            value_clip_eps=ppo.clip_eps if ppo.clip_value else None,
            soft_bound=ppo.soft_bound,
        )
        kl_old = self.ranks.mean(terms.kl_old, samples.is_valid)
        loss = self.loss(terms, samples.batch.agent, samples.is_valid)
        if self.penalty is not None:
            loss = loss + self.penalty.loss(kl_old)
        return Evaluation(samples, terms, output, kl_old, loss)

    def loss(self, terms: PPOTerms, agent: Tensor, is_valid: Optional[Tensor] = None) -> Tensor:
        """Mean over valid samples: L_pi + c_v L_v - c_e(agent) H + c_b L_b, without penalty.

        It is a weighted mean, so that `leader_weight` does not change the size of the step.
        """
        # L = L_pi + c_v L_V - c_e(agent) H + c_b L_b,  all [T, B]   (PPO eq. 9; c_b as in rl_games)
        per_sample = (
            terms.surrogate
            + self.ppo.value_coef * terms.value_loss
            - self.entropy_coef[agent] * terms.entropy
            + self.ppo.bounds_coef * terms.bounds
        )
        if self.aggregation.leader_weight == 1.0 or self.model.num_agents == 1:
            return self.ranks.mean(per_sample, is_valid)
        is_leader = (agent == self.model.num_agents - 1).to(per_sample.dtype)
        # [B] -> [T, B]; the mean is sum(w L) / sum(w), w = leader_weight for the leader, else 1
        weight = (1.0 + (self.aggregation.leader_weight - 1.0) * is_leader).expand_as(per_sample)
        if is_valid is not None:
            weight = weight * is_valid
        return self.ranks.ratio((per_sample * weight).sum(), weight.sum(), 1e-8)
