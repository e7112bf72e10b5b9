"""A discriminator that tells the agents apart by what they do, and rewards followers for it (CPO).

Source: arXiv 2603.01741 and its released code. Deviates: labels are agents (there stretches of
time), one log-softmax, normalised observations and clamped actions, and the reward is in every
target of its agent; `docs/algorithms/cpo.md`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, List, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import nll_loss

from epo.config import AdversaryCfg, PPOCfg
from epo.learner.batch import minibatch_spans
from epo.learner.hooks import UpdateHook
from epo.learner.metrics import MetricMeans
from epo.learner.objective import Objective, Update
from epo.learner.optim import make_adam
from epo.ranks import Deal
from epo.rollout.storage import Rollout


def make_discriminator(num_inputs: int, units: Sequence[int], num_agents: int) -> nn.Sequential:
    """Return an MLP from features [..., F] to logits [..., K]."""
    layers: List[nn.Module] = []
    for width in units:
        layers += [nn.Linear(num_inputs, width), nn.ELU()]
        num_inputs = width
    return nn.Sequential(*layers, nn.Linear(num_inputs, num_agents))


class Adversary(UpdateHook):
    """Reward followers with r = c log p(agent | observation, action), then learn from the rollout.

    A rollout is rewarded by the discriminator of before it, which then learns from it in one pass.

    Args:
        cfg: coefficient, network and step size.
        ppo: step size where `cfg` has none, and the size of minibatches.
        objective: PPO's loss; gives the model.
        deal: of the environments.
        seed: of the first weights and of the order of samples.
    """

    name = "cpo_adversary"

    def __init__(
        self, cfg: AdversaryCfg, ppo: PPOCfg, objective: Objective, deal: Deal, seed: int
    ) -> None:
        self.cfg = cfg
        self.ppo = ppo
        self.model = model = objective.model
        self.ranks = objective.ranks
        self.deal = deal
        width = model.observation_dim + model.policy_dim
        with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]
            torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
            self.network = make_discriminator(width, cfg.mlp_units, model.num_agents)
        self.network.to(model.log_std)
        device = model.log_std.device
        self.generator = torch.Generator(device).manual_seed(seed)
        rate = ppo.learning_rate if cfg.learning_rate is None else cfg.learning_rate
        dtype = torch.float64 if device.type == "cpu" else torch.float32
        self.learning_rate = torch.tensor(rate, dtype=dtype).to(device)
        self.optimizer = make_adam(self.network.parameters(), self.learning_rate, 1e-8)
        self._metrics: Dict[str, Tensor] = {}

    def shape(self, rollout: Rollout) -> Rollout:
        """Return the rollout with the followers' rewards, by the discriminator of before it."""
        log_p = self.log_prob(rollout, torch.arange(rollout.num_envs, device=rollout.agent.device))
        own = _of_agent(log_p, rollout.agent)
        is_follower = rollout.agent < self.model.num_agents - 1
        is_right = (log_p.argmax(-1) == rollout.agent).to(own.dtype)
        means, counts = MetricMeans(), torch.ones_like(is_right, dtype=torch.bool)
        valid = counts if rollout.is_valid is None else rollout.is_valid
        means.add("adversary/accuracy", is_right, valid)
        means.add("adversary/reward", self.cfg.coef * own, valid & is_follower)
        self._metrics = means.read(self.ranks)
        return replace(rollout, reward=rollout.reward + self._bonus(own, rollout.agent))

    def reward(self, rollout: Rollout, env_ids: Tensor, agent: Tensor) -> Tensor:
        """Return [T, S] what `agent` [S] would get for the sequences `env_ids` [S]."""
        return self._bonus(_of_agent(self.log_prob(rollout, env_ids), agent), agent)

    def _bonus(self, log_p: Tensor, agent: Tensor) -> Tensor:
        # r_adv = c log p(k | o, a) for a follower k, 0 for the leader
        is_follower = agent < self.model.num_agents - 1
        return torch.where(is_follower, self.cfg.coef * log_p, 0.0)

    @torch.no_grad()
    def log_prob(self, rollout: Rollout, env_ids: Tensor) -> Tensor:
        """Return log p(agent | observation, action) [T, S, K] of the sequences `env_ids` [S]."""
        observation = rollout.observation[:-1].index_select(1, env_ids)
        return self._log_prob(observation, rollout.action[:, env_ids])

    def _log_prob(self, observation: Tensor, action: Tensor) -> Tensor:
        encoded = self.model.distribution.encode(action, self.model.policy_dim)
        features = torch.cat([self.model.observation_normalizer(observation), encoded], dim=-1)
        return self.network(features).log_softmax(-1)

    def on_update_end(self, update: Update) -> None:
        """Let the discriminator learn from the rollout, each sample once."""
        rollout = update.rollout
        observation, action = rollout.observation[:-1].flatten(0, 1), rollout.action.flatten(0, 1)
        agent = rollout.agent.expand(rollout.horizon, -1).flatten()  # [T, N] -> [T N]
        weight = torch.ones_like(observation[:, 0])
        if rollout.is_valid is not None:
            weight = rollout.is_valid.flatten().to(weight.dtype)
        means = MetricMeans()
        for ids in self._minibatches(update):
            log_p = self._log_prob(observation[ids], action[ids])
            loss = nll_loss(log_p, agent[ids], reduction="none")
            loss = self.ranks.ratio((loss * weight[ids]).sum(), weight[ids].sum(), 1.0)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
            self.ranks.add_gradients(self.network.parameters())
            self.optimizer.step()  # pyright: ignore[reportUnknownMemberType]
            means.add("adversary/loss", loss)
        self._metrics.update(means.read(self.ranks))

    def _minibatches(self, update: Update) -> List[Tensor]:
        """Draw the order of the rollout's samples; return those that are here, as indices [T N]."""
        horizon, num_envs = update.rollout.horizon, self.deal.num_envs
        start, end = minibatch_spans(update.num_sequences, horizon, self.ppo)[0]
        num, size = horizon * num_envs, (end - start) * horizon
        device = self.generator.device
        order = torch.randperm(num, generator=self.generator, device=device)
        spans = [(first, min(num, first + size)) for first in range(0, num, size)]
        return self.deal.split_samples(order, spans)

    def metrics(self) -> Dict[str, Tensor]:
        """Return accuracy on new data (chance: 1 / K), mean reward of followers, loss in nats."""
        return self._metrics

    def state_dict(self) -> Dict[str, Any]:
        """Return network, optimiser and random numbers."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        # Loading replaces the group's step size by a copy: restore that of the settings.
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate
        self.generator.set_state(state["generator"].cpu())


def _of_agent(log_p: Tensor, agent: Tensor) -> Tensor:
    """Return the log probability [T, S] of the class `agent` [S] from [T, S, K]."""
    index = agent.expand(log_p.shape[0], -1).unsqueeze(-1)
    return log_p.gather(-1, index).squeeze(-1)
