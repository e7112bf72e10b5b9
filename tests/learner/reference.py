"""PPO, SAPG and EPO written out plainly, for one environment, agent and step at a time.

The learner is checked against this: how it computes is free, what it computes is said here. Slow on
purpose, in float64, with the gradient of the naive graph by autograd. Nothing of `epo` is used but
the names of its settings, its weights and the fields of its rollout. Whatever is drawn at random
is given by the caller: action noise, sources of relabelling, order of sequences, parents, mutation.

Source: Schulman et al. 2016 (GAE) and 2017 (PPO); Kingma and Ba 2015 (Adam); SAPG (arXiv
2407.20230); EPO (arXiv 2503.19037); constants and the order of steps as in rl_games.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Dict, List, Sequence, Tuple

import torch
from torch import Tensor

from epo.config import AlgoCfg
from tests.learner.reference_network import (
    Network,
    Tensors,
    gaussian_kl,
    gaussian_log_prob,
    unbiased_std,
)


@dataclass
class Experience:
    """One environment's T steps as one agent learns from them; names as in `epo`."""

    env: int
    agent: int
    is_off_policy: bool
    old_log_prob: Tensor  # [T] under the policy that the ratio is taken against
    importance: Tensor  # [T] centre of the clip range
    value: Tensor  # [T]
    target: Tensor  # [T]
    advantage: Tensor  # [T]
    recent_mean: Tensor  # [T, A] policy that the KL is measured against
    recent_log_std: Tensor  # [A]


class Reference:
    """A learner and its population.

    Args:
        state: `state_dict` of the actor-critic.
        cfg: settings.
        num_agents: K.
    """

    def __init__(self, state: Tensors, cfg: AlgoCfg, num_agents: int) -> None:
        self.cfg, self.num_agents = cfg, num_agents
        self.network = Network(state, cfg.normalizer.clip)
        self.weights = self.network.weights
        self.observations, self.values = self.network.observations, self.network.values
        self.first = {name: torch.zeros_like(value) for name, value in self.weights.items()}
        self.second = {name: torch.zeros_like(value) for name, value in self.weights.items()}
        self.num_steps = 0
        self.learning_rate = cfg.ppo.learning_rate
        self.seen: Dict[str, List[Tensor]] = {}

    def update(
        self, rollout: Tensors, sources: Sequence[Tuple[int, int]], order: Sequence[int]
    ) -> Dict[str, float]:
        """Learn from one rollout.

        Args:
            rollout: fields of a rollout of all environments.
            sources: (environment, learning agent) of every relabelled sequence.
            order: of the own sequences by environment, then the relabelled ones.

        Returns:
            name -> mean of what was seen.
        """
        ppo, is_late = self.cfg.ppo, self.cfg.normalizer.timing == "iteration"
        horizon, num_envs = rollout["reward"].shape
        self.seen = {}
        batch = [self._own(rollout, env) for env in range(num_envs)]
        self._note_returns(batch)
        batch += [self._relabel(rollout, env, agent) for env, agent in sources]
        self._standardize(batch)
        self._normalize_values(batch)
        minibatches = self._split(list(order), horizon)
        for epoch in range(ppo.num_epochs):
            divergences = []
            for ids in minibatches:
                chosen = [batch[i] for i in ids]
                if not is_late and epoch == 0:
                    seen = [rollout["observation"][:-1, one.env] for one in chosen]
                    self.observations.merge(torch.cat(seen))
                divergences.append(self._step(rollout, chosen, epoch))
            if ppo.schedule == "adaptive":
                self._adapt(sum(divergences) / len(divergences))
        if is_late:
            self.observations.merge(rollout["observation"][:-1].flatten(0, 1))
        means = {name: torch.cat(values).mean().item() for name, values in self.seen.items()}
        return {**means, "lr": self.learning_rate}

    def _note(self, name: str, value: Tensor) -> None:
        self.seen.setdefault(name, []).append(value.detach().flatten())

    def _end_value(self, rollout: Tensors, t: int, env: int) -> Tensor:
        """Value of the state in which an episode ended with step t."""
        if "terminal_value" in rollout:
            return rollout["terminal_value"][t, env]
        return torch.zeros(())

    def _own(self, rollout: Tensors, env: int) -> Experience:
        """Advantage by definition: discounted errors of all later steps of the episode."""
        ppo, agent, value = self.cfg.ppo, int(rollout["agent"][env]), rollout["value"][:, env]
        reward, ends = rollout["reward"][:, env], rollout["is_first"][1:, env]
        advantage = torch.zeros_like(reward)
        for start in range(len(reward)):
            factor = 1.0
            for t in range(start, len(reward)):
                after = self._end_value(rollout, t, env) if ends[t] else value[t + 1]
                advantage[start] += factor * (reward[t] + ppo.gamma * after - value[t])
                factor *= ppo.gamma * ppo.gae_lambda
                if ends[t]:
                    break
        return Experience(
            env=env,
            agent=agent,
            is_off_policy=False,
            old_log_prob=rollout["log_prob"][:, env],
            importance=torch.ones_like(reward),
            value=value[:-1],
            target=advantage + value[:-1],
            advantage=advantage,
            recent_mean=rollout["mean"][:, env],
            recent_log_std=rollout["log_std"][agent],
        )

    @torch.no_grad()
    def _relabel(self, rollout: Tensors, env: int, agent: int) -> Experience:
        """Another agent's sequence as `agent` sees it, with one-step returns (SAPG section 4.1)."""
        cfg, reward = self.cfg.aggregation, rollout["reward"][:, env]
        mean, value = self._revalue(rollout, env, agent)
        target = torch.zeros_like(reward)
        for t in range(len(reward)):
            is_end = rollout["is_first"][t + 1, env]
            after = self._end_value(rollout, t, env) if is_end else value[t + 1]
            target[t] = reward[t] + self.cfg.ppo.gamma * after
        log_std, behaviour = self.weights["log_std"][agent].detach(), rollout["log_prob"][:, env]
        log_prob = gaussian_log_prob(rollout["action"][:, env], mean[:-1], log_std)
        importance = torch.exp(log_prob - behaviour)
        self._note("importance/mean", importance)
        is_centred, is_follower = cfg.clip_center == "mu", cfg.kl_reference == "follower"
        actor = int(rollout["agent"][env])
        return Experience(
            env=env,
            agent=agent,
            is_off_policy=True,
            old_log_prob=log_prob if is_centred else behaviour,
            importance=importance.clamp(max=cfg.max_importance)
            if is_centred
            else torch.ones_like(reward),
            value=value[:-1],
            target=target,
            advantage=target - value[:-1],
            recent_mean=rollout["mean"][:, env] if is_follower else mean[:-1],
            recent_log_std=rollout["log_std"][actor] if is_follower else log_std.clone(),
        )

    def _revalue(self, rollout: Tensors, env: int, agent: int) -> Tuple[Tensor, Tensor]:
        """Means [T + 1, A] and de-normalised values [T + 1] under `agent`."""
        steps = len(rollout["observation"])
        if self.cfg.aggregation.hidden == "unroll":
            means, values = self.network.unroll(rollout, env, agent, steps)
            return means, self.values.denormalize(values)
        found = [
            self.network.forward(
                rollout["observation"][t, env], agent, rollout["step_memory"][t, :, env]
            )
            for t in range(steps)
        ]
        values = torch.stack([value for _, value, _ in found])
        return torch.stack([mean for mean, _, _ in found]), self.values.denormalize(values)

    def _note_returns(self, own: List[Experience]) -> None:
        target = torch.stack([one.target for one in own])
        value = torch.stack([one.value for one in own])
        residual = unbiased_std(target - value) ** 2 / unbiased_std(target) ** 2
        self._note("explained_variance", 1.0 - residual)
        self._note("return/mean", target)

    def _standardize(self, batch: List[Experience]) -> None:
        advantage = torch.stack([one.advantage for one in batch])
        mean, std = advantage.mean(), unbiased_std(advantage)
        self._note("advantage/std", std)
        if "importance/mean" in self.seen:
            m = torch.cat(self.seen["importance/mean"])
            self._note("importance/ess", m.sum() ** 2 / (m.numel() * (m**2).sum()))
        for one in batch:
            one.advantage = (one.advantage - mean) / (std + 1e-8)

    def _normalize_values(self, batch: List[Experience]) -> None:
        value = torch.cat([one.value for one in batch])[:, None]
        target = torch.cat([one.target for one in batch])[:, None]
        if self.cfg.normalizer.timing == "iteration":
            self.values.merge(target)
            value = self.values.normalize(value)
        else:
            self.values.merge(value)
            value = self.values.normalize(value)
            self.values.merge(target)
        target = self.values.normalize(target)
        for i, one in enumerate(batch):
            part = slice(i * len(one.value), (i + 1) * len(one.value))
            one.value, one.target = value[part, 0], target[part, 0]

    def _split(self, order: List[int], horizon: int) -> List[List[int]]:
        """Cut the order into minibatches; the last one takes the rest."""
        ppo = self.cfg.ppo
        if ppo.minibatch_size is None:
            num, size = ppo.num_minibatches, len(order) // ppo.num_minibatches
        else:
            size = ppo.minibatch_size // horizon
            num = len(order) // size
        parts = [order[i * size : (i + 1) * size] for i in range(num)]
        return [*parts[:-1], order[(num - 1) * size :]]

    def _step(self, rollout: Tensors, chosen: List[Experience], epoch: int) -> float:
        """Take one step of Adam and return the mean KL that the step size follows."""
        losses, weights, divergences = [], [], []
        for one in chosen:
            loss, kl = self._lose(rollout, one)
            is_leader = one.agent == self.num_agents - 1 and self.num_agents > 1
            weight = self.cfg.aggregation.leader_weight if is_leader else 1.0
            losses.append(weight * loss)
            weights.append(torch.full_like(loss, weight))
            if not (self.cfg.aggregation.kl_reference == "exclude" and epoch == 0) or (
                not one.is_off_policy
            ):
                divergences.append(kl)
        loss = torch.cat(losses).sum() / torch.cat(weights).sum()
        self._note("loss/total", loss)
        self._adam(dict(zip(self.weights, torch.autograd.grad(loss, list(self.weights.values())))))
        kl = torch.cat(divergences).mean() if divergences else torch.zeros(())
        self._note("kl", kl)
        return kl.item()

    def _lose(self, rollout: Tensors, one: Experience) -> Tuple[Tensor, Tensor]:
        """Return loss [T] and KL [T] of one sequence, and remember its present policy."""
        ppo, horizon = self.cfg.ppo, len(one.advantage)
        log_std = self.weights["log_std"][one.agent]
        mean, value = self.network.unroll(rollout, one.env, one.agent, horizon)
        log_prob = gaussian_log_prob(rollout["action"][:, one.env], mean, log_std)
        ratio = torch.exp(log_prob - one.old_log_prob)
        low, high = 1.0 - ppo.clip_eps, 1.0 + ppo.clip_eps
        m, advantage = one.importance, one.advantage
        inside = torch.minimum(torch.maximum(m * ratio, m * low), m * high)
        surrogate = torch.maximum(-m * ratio * advantage, -inside * advantage)
        value_loss = (value - one.target) ** 2
        if ppo.clip_value:
            moved = one.value + (value - one.value).clamp(-ppo.clip_eps, ppo.clip_eps)
            value_loss = torch.maximum(value_loss, (moved - one.target) ** 2)
        entropy = (log_std + 0.5 * math.log(2.0 * math.pi * math.e)).sum().expand(horizon)
        above, below = mean - ppo.soft_bound, mean + ppo.soft_bound
        bounds = (above.clamp(min=0.0) ** 2 + below.clamp(max=0.0) ** 2).sum(-1)
        kl = gaussian_kl(mean, log_std, one.recent_mean, one.recent_log_std).detach()
        is_clipped = (ratio < low) | (ratio > high)
        part = "off_policy" if one.is_off_policy else "on_policy"
        for name, term in (
            ("loss/surrogate", surrogate),
            ("loss/value", value_loss),
            ("loss/bounds", bounds),
            ("entropy", entropy),
            (f"kl/{part}", kl),
            (f"clip_fraction/{part}", is_clipped.to(kl.dtype)),
        ):
            self._note(name, term)
        one.recent_mean, one.recent_log_std = mean.detach(), log_std.detach().clone()
        loss = surrogate + ppo.value_coef * value_loss + ppo.bounds_coef * bounds
        return loss - self._entropy_coef(one.agent) * entropy, kl

    def _entropy_coef(self, agent: int) -> float:
        """The first agent explores most, the leader (the last) not at all (SAPG section 4.2)."""
        if self.num_agents == 1:
            return self.cfg.ppo.entropy_coef
        rung = 0.5 * (1.0 - agent / (self.num_agents - 1))
        return self.cfg.ppo.entropy_coef + self.cfg.aggregation.entropy_scale * rung

    @torch.no_grad()
    def _adam(self, gradients: Tensors) -> None:
        """Clip the gradient by its global norm and step (Kingma and Ba 2015, algorithm 1)."""
        norm = math.sqrt(sum((g**2).sum().item() for g in gradients.values()))
        self._note("grad_norm", torch.tensor(norm, dtype=torch.float64))
        shrink = min(1.0, self.cfg.ppo.max_grad_norm / (norm + 1e-6))
        self.num_steps += 1
        for name, weight in self.weights.items():
            gradient = gradients[name] * shrink
            self.first[name] = 0.9 * self.first[name] + 0.1 * gradient
            self.second[name] = 0.999 * self.second[name] + 0.001 * gradient**2
            mean = self.first[name] / (1.0 - 0.9**self.num_steps)
            square = self.second[name] / (1.0 - 0.999**self.num_steps)
            weight -= self.learning_rate * mean / (torch.sqrt(square) + self.cfg.ppo.adam_eps)

    def _adapt(self, kl: float) -> None:
        ppo = self.cfg.ppo
        if kl > 2.0 * ppo.kl_target:
            self.learning_rate = max(
                self.learning_rate / ppo.learning_rate_factor, ppo.min_learning_rate
            )
        elif kl < 0.5 * ppo.kl_target:
            self.learning_rate = min(
                self.learning_rate * ppo.learning_rate_factor, ppo.max_learning_rate
            )

    @torch.no_grad()
    def evolve(
        self,
        replaced: Sequence[int],
        parents: Sequence[Tuple[int, int]],
        noise: Tensor,
        sigma: float,
        log_std: str = "keep",
    ) -> None:
        """Replace agents by children of the present population, whose moments are new.

        Args:
            replaced: R agents.
            parents: two agents per child.
            noise: [R, G] standard normal numbers.
            sigma: standard deviation of the mutation.
            log_std: "average": of the parents as well.
        """
        genes, stds = self.weights["gene"].clone(), self.weights["log_std"].clone()
        for row, (a, b), draw in zip(replaced, parents, noise):
            self._replace("gene", row, (genes[a] + genes[b]) / 2.0 + sigma * draw)
            if log_std == "average":
                self._replace("log_std", row, (stds[a] + stds[b]) / 2.0)

    def _replace(self, name: str, row: int, child: Tensor) -> None:
        self.weights[name][row] = child
        self.first[name][row] = 0.0
        self.second[name][row] = 0.0
