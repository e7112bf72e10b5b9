"""Proximal policy optimisation of the shared network; with relabelled data it is SAPG."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Optional, Sequence

import torch
from torch import Tensor, nn

from epo.config import AlgoCfg
from epo.learner.aggregation import (
    Relabelled,
    draw_sources,
    entropy_ladder,
    num_copies,
    relabel,
)
from epo.learner.batch import (
    SequenceBatch,
    append,
    masked_mean,
    minibatch_spans,
    on_policy_batch,
    standardize,
)
from epo.learner.losses import PPOTerms, ppo_terms
from epo.learner.metrics import MetricMeans
from epo.learner.optim import adapt_learning_rate, make_adam, reset_moments
from epo.models.actor_critic import ActorCritic
from epo.rollout.storage import Rollout


class StepResult(NamedTuple):
    """What one optimiser step saw before it changed the weights.

    Attributes:
        terms: per-sample terms [T, B].
        loss: [] total loss.
        kl: [] mean KL divergence.
        grad_norm: [] global gradient norm before clipping.
    """

    terms: PPOTerms
    loss: Tensor
    kl: Tensor
    grad_norm: Tensor


class PPO:
    """Update the actor-critic from a rollout: K agents on-policy, the leader off-policy as well.

    Args:
        model: the shared actor-critic.
        cfg: PPO, aggregation and normaliser settings.
        num_envs: N.
        seed: of the permutation of sequences and of the draw of followers.

    Source: PPO as in rl_games; SAPG (arXiv 2407.20230); EPO (arXiv 2503.19037).
    """

    def __init__(self, model: ActorCritic, cfg: AlgoCfg, num_envs: int, seed: int) -> None:
        self.model = model
        self.cfg = cfg.ppo
        self.aggregation = cfg.aggregation
        self.block = num_envs // model.num_agents
        device = model.log_std.device
        self.generator = torch.Generator(device).manual_seed(seed)
        self.is_minibatch_timing = cfg.normalizer.timing == "minibatch"
        self.learning_rate = torch.tensor(
            self.cfg.learning_rate, dtype=torch.float64 if device.type == "cpu" else torch.float32
        ).to(device)
        self.optimizer = make_adam(model.parameters(), self.learning_rate, self.cfg.adam_eps)
        ladder = entropy_ladder(model.num_agents, self.aggregation.entropy_scale, model.log_std)
        self.entropy_coef = (ladder + self.cfg.entropy_coef).detach()

    def update(self, rollout: Rollout) -> Dict[str, Tensor]:
        """Learn from one rollout and return metrics, name -> [] tensor on the device."""
        means = MetricMeans()
        extra = self._relabel(rollout, means)
        batch = self._prepare(rollout, extra, means)
        order = self.draw_order(batch.num_sequences)
        spans = minibatch_spans(batch.num_sequences, rollout.horizon, self.cfg)
        for epoch in range(self.cfg.num_epochs):
            kl = torch.zeros_like(self.learning_rate)
            for start, end in spans:
                result = self.step(rollout, batch, order[start:end], epoch)
                self._count(means, result, batch.is_off_policy[order[start:end]])
                kl += result.kl.to(kl)
            if self.cfg.schedule == "adaptive":
                adapted = adapt_learning_rate(self.learning_rate, kl / len(spans), self.cfg)
                self.learning_rate.copy_(adapted)
        if not self.is_minibatch_timing:
            self.model.observation_normalizer.update(rollout.observation[:-1])
        return {**means.read(), "lr": self.learning_rate.clone()}

    def step(self, rollout: Rollout, batch: SequenceBatch, ids: Tensor, epoch: int) -> StepResult:
        """Take one optimiser step on the sequences `ids` [B] of the batch."""
        env_ids, agent = batch.env_ids[ids], batch.agent[ids]
        observation = rollout.observation[:-1].index_select(1, env_ids)
        if self.is_minibatch_timing and epoch == 0:
            self.model.observation_normalizer.update(observation)
        output = self.model(
            observation, agent, rollout.memory[:, env_ids], rollout.is_first[:-1, env_ids]
        )
        terms = ppo_terms(
            self.model.distribution,
            mean=output.mean,
            log_std=output.log_std,
            value=output.value,
            action=rollout.action[:, env_ids],
            old_log_prob=batch.log_prob[:, ids],
            old_mean=batch.mean[:, ids],
            old_log_std=batch.log_std[ids],
            old_value=batch.value[:, ids],
            advantage=batch.advantage[:, ids],
            target=batch.target[:, ids],
            weight=batch.weight[:, ids],
            clip_low=self.cfg.clip_eps,
            clip_high=self.cfg.clip_eps,
            clip_value=self.cfg.clip_value,
            soft_bound=self.cfg.soft_bound,
        )
        is_valid = None if rollout.is_valid is None else rollout.is_valid[:, env_ids]
        loss = self._loss(terms, agent, is_valid)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # pyright: ignore[reportUnknownMemberType]
        grad_norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.cfg.max_grad_norm)
        self.optimizer.step()  # pyright: ignore[reportUnknownMemberType]
        batch.mean[:, ids] = output.mean.detach()
        batch.log_std[ids] = output.log_std.detach()
        kl = self._mean_kl(terms.kl.detach(), batch.is_off_policy[ids], epoch)
        return StepResult(terms, loss.detach(), kl, grad_norm)

    def _loss(self, terms: PPOTerms, agent: Tensor, is_valid: Optional[Tensor] = None) -> Tensor:
        """Mean over valid samples: L_pi + c_v L_v - c_e(agent) H + c_b L_b."""
        per_sample = (
            terms.surrogate
            + self.cfg.value_coef * terms.value_loss
            - self.entropy_coef[agent] * terms.entropy
            + self.cfg.bounds_coef * terms.bounds
        )
        return masked_mean(per_sample, is_valid)

    def _mean_kl(self, kl: Tensor, is_off_policy: Tensor, epoch: int) -> Tensor:
        if self.aggregation.kl_reference == "exclude" and epoch == 0:
            own = (~is_off_policy).to(kl.dtype).expand_as(kl)
            return (kl * own).sum() / own.sum().clamp(min=1.0)
        return kl.mean()

    def _relabel(self, rollout: Rollout, means: MetricMeans) -> Optional[Relabelled]:
        if num_copies(self.model.num_agents, self.aggregation) == 0:
            return None
        env_ids, agent = self.draw_sources()
        extra = relabel(rollout, self.model, env_ids, agent, self.aggregation, self.cfg.gamma)
        # Effective share of the samples under importance weights m: (sum m)^2 / (n sum m^2).
        m = extra.importance
        means.add("importance/mean", m)
        means.add("importance/ess", m.sum().square() / (m.numel() * m.square().sum()))
        return extra

    @torch.no_grad()
    def _prepare(
        self, rollout: Rollout, extra: Optional[Relabelled], means: MetricMeans
    ) -> SequenceBatch:
        own = on_policy_batch(rollout, self.cfg.gamma, self.cfg.gae_lambda)
        residual = (own.target - own.value).var() / own.target.var().clamp(min=1e-12)
        means.add("explained_variance", 1.0 - residual)
        means.add("return/mean", own.target)
        batch = append(own, extra)
        means.add("advantage/std", batch.advantage.std())
        is_valid = None if rollout.is_valid is None else rollout.is_valid[:, batch.env_ids]
        if is_valid is not None:  # What is no experience is no return either.
            batch.target = torch.where(is_valid, batch.target, batch.value)
        batch.advantage = standardize(batch.advantage, is_valid)
        self._normalize_values(batch)
        return batch

    def _normalize_values(self, batch: SequenceBatch) -> None:
        normalizer = self.model.value_normalizer
        if self.is_minibatch_timing:
            normalizer.update(batch.value.unsqueeze(-1))
            batch.value = self.model.normalize_value(batch.value)
            normalizer.update(batch.target.unsqueeze(-1))
        else:
            normalizer.update(batch.target.unsqueeze(-1))
            batch.value = self.model.normalize_value(batch.value)
        batch.target = self.model.normalize_value(batch.target)

    def _count(self, means: MetricMeans, result: StepResult, is_off_policy: Tensor) -> None:
        terms = result.terms
        is_clipped = terms.is_clipped.to(terms.ratio.dtype)
        means.add("loss/surrogate", terms.surrogate)
        means.add("loss/value", terms.value_loss)
        means.add("loss/bounds", terms.bounds)
        means.add("loss/total", result.loss)
        means.add("entropy", terms.entropy)
        means.add("grad_norm", result.grad_norm)
        means.add("kl", result.kl)
        means.add("kl/on_policy", terms.kl, ~is_off_policy)
        means.add("clip_fraction/on_policy", is_clipped, ~is_off_policy)
        if num_copies(self.model.num_agents, self.aggregation):
            means.add("kl/off_policy", terms.kl, is_off_policy)
            means.add("clip_fraction/off_policy", is_clipped, is_off_policy)

    def draw_order(self, num_sequences: int) -> Tensor:
        """Return the order [S] in which the sequences fill the minibatches of this update."""
        device = self.generator.device
        if not self.cfg.shuffle:
            return torch.arange(num_sequences, device=device)
        return torch.randperm(num_sequences, generator=self.generator, device=device)

    def draw_sources(self):
        """Return env_ids [S'] and learning agents [S'] of this update's off-policy data."""
        return draw_sources(self.model.num_agents, self.block, self.aggregation, self.generator)

    def reset_moments(self, parameter: nn.Parameter, rows: Sequence[int]) -> None:
        """Forget the optimiser's moments of replaced rows of `parameter`."""
        reset_moments(self.optimizer, parameter, rows)

    def state_dict(self) -> Dict[str, Any]:
        """Optimiser, step size and random numbers."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "learning_rate": self.learning_rate.clone(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.learning_rate.copy_(state["learning_rate"])
        # Loading replaces the group's step size by a copy: tie it to ours again.
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate
        self.generator.set_state(state["generator"].cpu())
