"""Collection of rollouts: the population acts in its environments."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, ContextManager, Dict, Mapping, Optional, Protocol

import torch
from torch import Tensor

from epo.components import quantities, reward_terms
from epo.config import PPOCfg
from epo.envs import StateEnv, Step, VecEnv
from epo.models.actor_critic import PolicyOutput
from epo.models.distribution import Distribution
from epo.ranks import ALONE, Deal, Ranks
from epo.rollout.storage import Quantity, Rollout, allocate_rollout
from epo.stopwatch import Stopwatch


class StepObserver(Protocol):
    """An observer of every step, such as the fitness tracker."""

    def update(self, step: Step) -> None:
        """Record one control step."""
        ...


class Networks(Protocol):
    """What a collector asks of the networks that act, see `ActorCritic`."""

    num_agents: int
    policy_dim: int
    state_dim: int
    distribution: Distribution

    @property
    def log_std(self) -> Tensor:
        """Log standard deviations of the agents [K, D], or [K, 0]."""
        ...

    def initial_memory(self, num: int) -> Tensor:
        """Return the zero state [2, num, H]."""
        ...

    def denormalize_value(self, value: Tensor) -> Tensor:
        """Return normalised values [..., N] in the unit of scaled rewards."""
        ...

    def fixed_parameters(self) -> ContextManager[None]:
        """Promise that the parameters stay as they are meanwhile."""
        ...

    def __call__(
        self,
        observation: Tensor,
        agent: Tensor,
        memory: Tensor,
        is_first: Tensor,
        state: Optional[Tensor] = None,
    ) -> PolicyOutput:
        """Evaluate sequences."""
        ...


class Collector:
    """Step the environments under the current policies and keep what happened.

    Args:
        env: N environments; environment i belongs to agent i // (N / K).
        model: the networks that act.
        observer: sees every step.
        cfg: horizon, reward scale, bootstrap.
        seed: of the action noise.
        stopwatch: gets the time of the environments as section `sim`.
        with_step_memory: keep the LSTM state of every step in the rollout.
        ranks: that collect together; each draws the noise of all and takes that of its own.
        own: settings of reward terms that have some, `algo.own`.

    Attributes:
        scalars: name -> [] tensor, state of the task after the last control step.
        num_collected: control steps of the present rollout so far.
        is_complete: whether `collect` came to its end.
    """

    def __init__(
        self,
        env: VecEnv,
        model: Networks,
        observer: StepObserver,
        cfg: PPOCfg,
        *,
        seed: int,
        stopwatch: Stopwatch,
        with_step_memory: bool = False,
        ranks: Ranks = ALONE,
        own: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.env = env
        self.model = model
        self.observer = observer
        self.cfg = cfg
        self.stopwatch = stopwatch
        num_envs, device = env.spec.num_envs, env.device
        block = num_envs // model.num_agents
        self.deal = Deal(model.num_agents, num_envs, ranks, device)
        self.agent = torch.arange(num_envs, device=device) // block
        self.generator = torch.Generator(device).manual_seed(seed)
        self.scalars: Dict[str, Tensor] = {}
        self.num_collected, self.is_complete = 0, False
        self.quantities: Dict[str, Quantity] = {
            name: quantities.get(name) for name in cfg.quantities
        }
        self.reward_terms = [reward_terms.get(name, own) for name in cfg.reward_terms]
        self._memory = model.initial_memory(num_envs)
        self._rollout = allocate_rollout(
            cfg.horizon,
            self.agent,
            env.spec.observation_dim,
            model.policy_dim,
            model.distribution.action_width(model.policy_dim),
            model.log_std.detach(),
            self._memory,
            with_terminal_value=bool(cfg.bootstrap_truncated),
            with_step_memory=with_step_memory,
            with_validity=env.spec.has_invalid_steps,
            quantities=self.quantities,
            state_dim=model.state_dim,
        )
        # The collection starts from the last row of the one before.
        self._rollout.observation[-1].copy_(env.reset())
        self._rollout.is_first[-1] = True
        if self._rollout.state is not None:
            self._rollout.state[-1].copy_(self._present_state())

    @property
    def rollout(self) -> Rollout:
        """The present rollout: its first `num_collected` steps are new."""
        return self._rollout

    @torch.no_grad()
    def collect(self) -> Rollout:
        """Return T steps of all environments; the next call overwrites them."""
        rollout, horizon = self._rollout, self.cfg.horizon
        self.num_collected, self.is_complete = 0, False
        rollout.observation[0].copy_(rollout.observation[-1])
        rollout.is_first[0].copy_(rollout.is_first[-1])
        if rollout.state is not None:
            rollout.state[0].copy_(rollout.state[-1])
        rollout.memory.copy_(self._memory)
        rollout.log_std.copy_(self.model.log_std)
        with self.model.fixed_parameters():
            for t in range(horizon):
                self._act(rollout, t, self._forward(rollout, t))
                self.num_collected = t + 1
            rollout.value[horizon] = self._forward(rollout, horizon).value[0]
        rollout.value.copy_(self.model.denormalize_value(rollout.value))
        distribution, log_std = self.model.distribution, rollout.log_std[self.agent]
        rollout.log_prob.copy_(distribution.log_prob(rollout.action, rollout.mean, log_std))
        self.is_complete = True
        return rollout

    def mark_collected(self, num_steps: int) -> None:
        """Count the first steps of the rollout, which someone else has filled, as collected."""
        self.num_collected, self.is_complete = num_steps, num_steps == self.cfg.horizon

    def _forward(self, rollout: Rollout, t: int) -> PolicyOutput:
        is_first = rollout.is_first[t]
        if rollout.step_memory is not None:
            keep = (~is_first).to(self._memory.dtype).unsqueeze(-1)
            torch.mul(self._memory, keep, out=rollout.step_memory[t])
        return self.model(
            rollout.observation[t : t + 1],
            self.agent,
            self._memory,
            is_first.unsqueeze(0),
            None if rollout.state is None else rollout.state[t : t + 1],
        )

    def _present_state(self) -> Tensor:
        """Return the state [N, S] beside the present observation."""
        assert isinstance(self.env, StateEnv)
        return self.env.present_state()

    def _act(self, rollout: Rollout, t: int, output: PolicyOutput) -> None:
        mean = output.mean[0]
        action = self.model.distribution.sample(mean, output.log_std, self.draw_noise(mean))
        rollout.mean[t] = mean
        rollout.action[t] = action
        rollout.value[t] = output.value[0]
        self._memory = output.memory
        with self.stopwatch.section("sim"):
            step = self.env.step(action)
        self.observer.update(step)
        reward = self.learning_reward(step)
        for term in self.reward_terms:
            reward = reward + term(step, action)
        torch.mul(reward, self.cfg.reward_scale, out=rollout.reward[t])
        torch.logical_or(step.terminated, step.truncated, out=rollout.is_first[t + 1])
        if rollout.is_valid is not None and step.valid is not None:
            rollout.is_valid[t] = step.valid
            rollout.is_first[t + 1] |= ~step.valid
        rollout.observation[t + 1] = step.observation
        if rollout.state is not None:
            assert step.state is not None
            rollout.state[t + 1] = step.state
        for name, quantity in self.quantities.items():
            rollout.extra[name][t] = quantity.read(step)
        if rollout.terminal_value is not None:
            rollout.terminal_value[t] = self._terminal_value(step)
        self.scalars = step.scalars

    def _terminal_value(self, step: Step) -> Tensor:
        """Value [N] of final states that were cut by the time limit, 0 at true ends."""
        nowhere = torch.zeros_like(step.truncated).unsqueeze(0)
        state = step.final_state if self.model.state_dim else None
        final = self.model(
            step.final_observation.unsqueeze(0),
            self.agent,
            self._memory,
            nowhere,
            None if state is None else state.unsqueeze(0),
        )
        value = self.model.denormalize_value(final.value[0])
        return torch.where(step.truncated, value, torch.zeros_like(value))

    def learning_reward(self, step: Step) -> Tensor:
        """Return the reward [N] to learn from, task units."""
        return step.reward

    def draw_noise(self, like: Tensor) -> Tensor:
        """Return the action noise of policies `like` [N, D]."""
        noise = self.model.distribution.noise(self.deal.like_all(like), self.generator)
        return self.deal.rows(noise)

    def state_dict(self) -> Dict[str, Any]:
        """Observation, memory and noise generator between two rollouts."""
        state = self._rollout.state
        return {
            "observation": self._rollout.observation[-1].clone(),
            **({} if state is None else {"state": state[-1].clone()}),
            "is_first": self._rollout.is_first[-1].clone(),
            "memory": self._memory.clone(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue with the very next step after `state_dict`."""
        self._rollout.observation[-1].copy_(state["observation"])
        self._rollout.is_first[-1].copy_(state["is_first"])
        if self._rollout.state is not None:
            self._rollout.state[-1].copy_(state["state"])
        self._memory = state["memory"].to(self._memory)
        self.generator.set_state(state["generator"].cpu())
