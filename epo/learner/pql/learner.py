"""Updates of parallel Q-learning: critics towards their targets, the policy up the critics."""

from __future__ import annotations

import copy
from typing import Any, Dict, List

import torch
from torch import Tensor, nn

from epo.config import PqlCfg
from epo.learner.pql.heads import Head
from epo.learner.pql.networks import Networks
from epo.learner.pql.ratio import Ratio
from epo.learner.pql.replay import Batch, Replay

SATURATED = 0.99
"""Size of an action component that counts as saturated."""


class Means:
    """Averages of rows of [] tensors with the same names, kept on the device."""

    def __init__(self) -> None:
        self._names: List[str] = []
        self._rows: List[Tensor] = []

    def add(self, row: Dict[str, Tensor]) -> None:
        """Count a row."""
        self._names = list(row)
        self._rows.append(torch.stack(list(row.values())).detach())

    def read(self) -> Dict[str, Tensor]:
        """Return the means by name, nothing without rows, and start again."""
        rows, self._rows = self._rows, []
        return dict(zip(self._names, torch.stack(rows).mean(dim=0).unbind())) if rows else {}


class QLearner:
    """Learn from replayed transitions; `learn` is called after every control step.

    Args:
        networks: edited in place.
        head: meaning of the critics' output.
        replay: where transitions come from.
        cfg: settings.
        batch_size: B.
        seed: of the draws from the replay buffer and of the noise on target actions.

    Attributes:
        policy: who acts and whose actions targets are computed with: the actor, or a copy of it
            that is renewed every `policy_lag` control steps.
        critic_updates, actor_updates: so far.

    Source: PQL (arXiv 2307.12983) and its repository; its processes run in parallel, here their
        work is done in turn, see docs/algorithms/pql.md.
    """

    def __init__(
        self,
        networks: Networks,
        head: Head,
        replay: Replay,
        cfg: PqlCfg,
        batch_size: int,
        seed: int,
    ) -> None:
        self.networks = networks
        self.head = head
        self.replay = replay
        self.cfg = cfg
        self.batch_size = batch_size
        device = replay.size.device
        self.generator = torch.Generator(device).manual_seed(seed)
        self.policy = copy.deepcopy(networks.actor) if cfg.policy_lag else networks.actor
        self.critic_optimizer = self._make_adamw(networks.critic)
        self.actor_optimizer = self._make_adamw(networks.actor)
        self.critic_updates = 0
        self.actor_updates = 0
        self._critic_ratio = Ratio(cfg.critic_updates)
        self._actor_ratio = Ratio(cfg.actor_updates)
        self._steps_to_renewal = cfg.policy_lag
        self._critic_means, self._actor_means = Means(), Means()

    def learn(self) -> None:
        """Do the updates that one control step is worth."""
        for _ in range(self._critic_ratio.tick()):
            self.update_critic(self.replay.sample(self.batch_size, self.generator))
            for _ in range(self._actor_ratio.tick()):
                self.update_actor(self.replay.sample_observation(self.batch_size, self.generator))
        self._renew_policy()

    @torch.no_grad()
    def act(self, observation: Tensor) -> Tensor:
        """Return the actions [N, A] of `policy` for raw observations [N, O], without noise."""
        return self.policy(self.networks.normalizer(observation))

    def update_critic(self, batch: Batch) -> None:
        """Take one step with both critics, then move the target critic."""
        normalize, critic = self.networks.normalizer, self.networks.critic
        target = self.targets(batch)
        output = critic(normalize(batch.observation), batch.action)
        loss = self.head.loss(output, target).mean()
        grad_norm = self._step(self.critic_optimizer, loss, critic)
        self.networks.follow(self.cfg.target_rate)
        self.critic_updates += 1
        with torch.no_grad():
            value, goal = self.head.value(output), self.head.target_value(target)
            self._critic_means.add(
                {
                    "loss/critic": loss,
                    "grad_norm/critic": grad_norm,
                    "q/mean": value.mean(),
                    "q/td_error": (goal - value).abs().mean(),
                    "q/head_gap": (value[0] - value[1]).abs().mean(),
                    "q/target_min": goal.amin(),
                    "q/target_max": goal.amax(),
                    **self.head.diagnostics(target),
                    "replay/age": batch.age.to(loss.dtype).mean(),
                }
            )

    def update_actor(self, observation: Tensor) -> None:
        """Take one step up the lesser critic, which stays as it is.

        Args:
            observation: [B, O] raw.
        """
        actor = self.networks.actor
        observation = self.networks.normalizer(observation)
        action = actor(observation)
        value = self.head.value(self.networks.critic(observation, action))
        # L_actor = -E[min_k Q_k(s, pi(s))]   (DDPG with two critics, as in PQL)
        loss = -value.amin(dim=0).mean()
        grad_norm = self._step(self.actor_optimizer, loss, actor)
        self.actor_updates += 1
        is_saturated = (action.detach().abs() > SATURATED).to(loss.dtype)
        self._actor_means.add(
            {
                "loss/actor": loss,
                "grad_norm/actor": grad_norm,
                "action/saturation": is_saturated.mean(),
            }
        )

    @torch.no_grad()
    def targets(self, batch: Batch) -> Tensor:
        """Return what the critics should predict for a batch."""
        observation = self.networks.normalizer(batch.next_observation)
        action = self.policy(observation)
        noise = torch.randn(
            action.shape, generator=self.generator, device=action.device, dtype=action.dtype
        )
        # a' = clip(pi(s') + clip(sigma eps, -c, c), -1, 1)   (TD3 section 5.3)
        bound = self.cfg.target_noise_bound
        noise = (self.cfg.target_sigma * noise).clamp(-bound, bound)
        output = self.networks.target_critic(observation, (action + noise).clamp(-1.0, 1.0))
        return self.head.target(output, batch.reward_sum, batch.bootstrap)

    def read_metrics(self) -> Dict[str, Tensor]:
        """Return the means since the last call, name -> [] tensor; nothing without updates."""
        return {**self._critic_means.read(), **self._actor_means.read()}

    def _make_adamw(self, network: nn.Module) -> torch.optim.AdamW:
        cfg = self.cfg
        return torch.optim.AdamW(
            network.parameters(), lr=cfg.learning_rate, weight_decay=cfg.weight_decay, fused=True
        )

    def _step(self, optimizer: torch.optim.Optimizer, loss: Tensor, network: nn.Module) -> Tensor:
        """Descend on `loss` with the parameters of `network` alone; give the gradient norm []."""
        parameters = list(network.parameters())
        optimizer.zero_grad(set_to_none=True)
        # Gradients of the other network would be left behind otherwise.
        loss.backward(inputs=parameters)  # pyright: ignore[reportUnknownMemberType]
        grad_norm = nn.utils.clip_grad_norm_(parameters, self.cfg.max_grad_norm)
        optimizer.step()  # pyright: ignore[reportUnknownMemberType]
        return grad_norm

    def _renew_policy(self) -> None:
        """Let the copy of the actor catch up if it is time."""
        if self.policy is self.networks.actor:
            return
        self._steps_to_renewal -= 1
        if self._steps_to_renewal == 0:
            self._steps_to_renewal = self.cfg.policy_lag
            self.policy.load_state_dict(self.networks.actor.state_dict())

    def state_dict(self) -> Dict[str, Any]:
        """Return everything that changes but the networks and the replay buffer."""
        return {
            "critic_optimizer": self.critic_optimizer.state_dict(),
            "actor_optimizer": self.actor_optimizer.state_dict(),
            "critic_updates": self.critic_updates,
            "actor_updates": self.actor_updates,
            "critic_ratio": self._critic_ratio.state_dict(),
            "actor_ratio": self._actor_ratio.state_dict(),
            "policy": self.policy.state_dict(),
            "steps_to_renewal": self._steps_to_renewal,
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue where `state_dict` was taken; the networks are already loaded."""
        self.critic_optimizer.load_state_dict(state["critic_optimizer"])
        self.actor_optimizer.load_state_dict(state["actor_optimizer"])
        self.critic_updates = int(state["critic_updates"])
        self.actor_updates = int(state["actor_updates"])
        self._critic_ratio.load_state_dict(state["critic_ratio"])
        self._actor_ratio.load_state_dict(state["actor_ratio"])
        self.policy.load_state_dict(state["policy"])
        self._steps_to_renewal = int(state["steps_to_renewal"])
        self.generator.set_state(state["generator"].cpu())
