"""Followers near the leader (CPO): a KL term in their advantage, and cloning of what it did well.

Source: arXiv 2603.01741 and its released code; what differs from it: `docs/algorithms/cpo.md`.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import torch
from torch import Tensor

from epo.config import AggregationCfg, AwacCfg, CpoCfg, PPOCfg
from epo.learner.adversary import Adversary
from epo.learner.aggregation import relabel
from epo.learner.batch import minibatch_spans, sequences_of
from epo.learner.hooks import UpdateHook
from epo.learner.objective import Evaluation, Objective, Update
from epo.models.actor_critic import ActorCritic
from epo.ranks import Deal
from epo.rollout.storage import Rollout


class KLConstraint(UpdateHook):
    """Raise followers' standardised advantages for actions that the leader would take, too.

    Both log densities are from before the update: the term is a constant of the update, and the
    expectation of the log ratio over a follower's actions is -KL(follower || leader).

    Args:
        cfg: `lambda_kl`.
        objective: PPO's loss; gives the model.
        block: environments per agent on this rank; the leader's are the last.
    """

    name = "cpo_kl"

    def __init__(self, cfg: CpoCfg, objective: Objective, block: int) -> None:
        self.cfg = cfg
        self.objective = objective
        self.block = block
        self._log_ratio = torch.zeros(())

    @torch.no_grad()
    def on_update_start(self, update: Update) -> None:
        """Add the term to the advantages of the followers' own data."""
        rollout, batch = update.rollout, update.batch
        num = rollout.num_envs - self.block
        size = minibatch_sequences(update, self.objective.ppo)
        leader = leader_log_prob(self.objective.model, rollout, num, size)
        # A'_t = A_t + lambda_kl (log pi_leader(a_t|o_t) - log pi_follower(a_t|o_t))
        log_ratio = leader - rollout.log_prob[:, :num]  # [T, N - E]
        batch.advantage[:, :num] += self.cfg.lambda_kl * log_ratio
        is_valid = None if rollout.is_valid is None else rollout.is_valid[:, :num]
        self._log_ratio = self.objective.ranks.mean(log_ratio, is_valid)

    def metrics(self) -> Dict[str, Tensor]:
        """Return the mean log ratio of the followers' actions, nats."""
        return {"cpo/log_ratio": self._log_ratio}


class Cloning(UpdateHook):
    """Let followers imitate the leader's actions, weighted by their own critics (AWAC).

    The leader's sequences are spread over the minibatches, each once per epoch and follower: the
    number of optimiser steps stays as it is. Neither the critic nor the step size sees them.

    Args:
        cfg: of the cloning.
        aggregation: memory under which a follower values the leader's data.
        objective: PPO's loss; gives the model and its settings.
        deal: of the environments.
        seed: of the draw of the sequences and of their order.
        adversary: its reward of the follower belongs to the follower's advantage; None: none.
    """

    name = "cpo_cloning"

    def __init__(
        self,
        cfg: AwacCfg,
        aggregation: AggregationCfg,
        objective: Objective,
        deal: Deal,
        seed: int,
        adversary: Optional[Adversary],
    ) -> None:
        self.cfg = cfg
        self.aggregation = aggregation
        self.objective = objective
        self.model = objective.model
        self.ranks = objective.ranks
        self.deal = deal
        self.adversary = adversary
        device = self.model.log_std.device
        self.generator = torch.Generator(device).manual_seed(seed)
        self._env_ids = self._agent = torch.zeros(0, dtype=torch.int64, device=device)
        self._weight = torch.zeros(0, device=device)  # [T, S]
        self._drawn = self._env_ids  # of all ranks
        self._until: Sequence[int] = (0,)  # how many of the first n of them are here
        self._seen = 0
        self._metrics: Dict[str, Tensor] = {}

    @torch.no_grad()
    def on_update_start(self, update: Update) -> None:
        """Draw the sequences and weigh them by the followers' advantages before the update."""
        self._drawn, agent = self.draw()
        self._env_ids, self._agent = self.deal.keep(self._drawn, agent)
        self._until = self.deal.counts(self._drawn)
        self._seen = 0
        size = minibatch_sequences(update, self.objective.ppo)
        advantage = torch.cat(
            [self._advantage(update.rollout, *part) for part in self._parts(size)], dim=1
        )
        # Standardised together with what PPO learns from, on which it has no influence.
        batch, is_valid = update.batch, update.rollout.is_valid
        joined = torch.cat([update.raw_advantage, advantage], dim=1)
        env_ids = torch.cat([batch.env_ids, self._env_ids])
        valid = None if is_valid is None else is_valid[:, env_ids]
        advantage = self.ranks.standardize(joined, valid)[:, batch.num_sequences :]
        self._weight = clone_weight(advantage, self.cfg.temperature, self.cfg.max_weight)
        own = None if valid is None else valid[:, batch.num_sequences :]
        is_capped = (self._weight >= self.cfg.max_weight).to(self._weight.dtype)
        self._metrics = {
            "cpo/clone_weight": self.ranks.mean(self._weight, own),
            "cpo/clone_capped": self.ranks.mean(is_capped, own),
        }

    def draw(self) -> Tuple[Tensor, Tensor]:
        """Draw env_ids [S] of the leader's block and the followers [S] that clone them."""
        followers, device = self.model.num_agents - 1, self.generator.device
        num = max(1, round(self.cfg.ratio * self.deal.block))
        random = torch.rand((followers, self.deal.block), generator=self.generator, device=device)
        env_ids = followers * self.deal.block + random.argsort(dim=1)[:, :num].flatten()
        agent = torch.arange(followers, device=device).repeat_interleave(num)
        order = torch.randperm(len(agent), generator=self.generator, device=device)
        return env_ids[order], agent[order]

    def _parts(self, size: int) -> Iterator[Tuple[Tensor, Tensor]]:
        """Return the drawn sequences, `size` at a time."""
        for start in range(0, max(1, len(self._agent)), size):
            yield self._env_ids[start : start + size], self._agent[start : start + size]

    def _advantage(self, rollout: Rollout, env_ids: Tensor, agent: Tensor) -> Tensor:
        """Return the one-step advantage [T, S] of the leader's actions for `agent` [S]."""
        gamma = self.objective.ppo.gamma
        found = relabel(rollout, self.model, env_ids, agent, self.aggregation, gamma)
        if self.adversary is None:
            return found.advantage
        return found.advantage + self.adversary.reward(rollout, env_ids, agent)

    def add_to_loss(self, update: Update, found: Evaluation, loss: Tensor) -> Tensor:
        """Return the loss [] with the cloning of the samples' share of its sequences."""
        total, seen, num = update.num_sequences, self._seen, update.num_present
        low, high = (len(self._drawn) * n // total for n in (seen, seen + num))
        self._seen = (seen + num) % total
        if low == high:
            return loss
        here = slice(self._until[low], self._until[high])
        rollout, env_ids = update.rollout, self._env_ids[here]
        output = self.model(*sequences_of(rollout, env_ids, self._agent[here]))
        log_prob = self.model.distribution.log_prob(
            rollout.action[:, env_ids], output.mean, output.log_std
        )
        is_valid = None if rollout.is_valid is None else rollout.is_valid[:, env_ids]
        # L = -beta min(exp(A / lambda_awac), max_weight) log pi_f(a_leader | o), at the share of
        # the samples that it would have in one mean with PPO's.
        cloning = -self.ranks.mean(self._weight[:, here] * log_prob, is_valid)
        return loss + self.cfg.beta * cloning * ((high - low) / num)

    def metrics(self) -> Dict[str, Tensor]:
        """Return the mean weight and the share of weights at their bound."""
        return self._metrics

    def state_dict(self) -> Dict[str, Any]:
        """Return the state of the random numbers."""
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.generator.set_state(state["generator"].cpu())


def clone_weight(advantage: Tensor, temperature: float, max_weight: float) -> Tensor:
    """Return min(exp(A / temperature), max_weight) of standardised advantages [...]."""
    return (advantage / temperature).exp().clamp(max=max_weight)


def minibatch_sequences(update: Update, ppo: PPOCfg) -> int:
    """Return how many sequences a minibatch holds: as many are evaluated at once."""
    start, end = minibatch_spans(update.num_sequences, update.rollout.horizon, ppo)[0]
    return end - start


@torch.no_grad()
def leader_log_prob(model: ActorCritic, rollout: Rollout, num: int, size: int) -> Tensor:
    """Evaluate what environments 0 to `num` - 1 did under the leader, `size` at once.

    The memory unrolls under the leader from the state in which the sequence began.

    Returns:
        [T, num] log densities.
    """
    found: List[Tensor] = []
    for start in range(0, num, size):
        env_ids = torch.arange(start, min(num, start + size), device=rollout.agent.device)
        agent = torch.full_like(env_ids, model.num_agents - 1)
        output = model(*sequences_of(rollout, env_ids, agent))
        action = rollout.action[:, env_ids]
        found.append(model.distribution.log_prob(action, output.mean, output.log_std))
    return torch.cat(found, dim=1)
