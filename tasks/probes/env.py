"""Probes: tiny tasks whose answer is known, each of which asks for one ability of the learner.

Everything is vectorised torch on one device; only `reach` is a small task in itself.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Dict, Mapping, Optional, Tuple, Type

import torch
from torch import Tensor

from epo.envs import EnvSpec, Step
from tasks.episodes import Episodes
from tasks.probes.config import ProbeCfg


class Probe:
    """A task without physics: what all probes share.

    A subclass gives `_begin`, `_observe` and `_reward`, and keeps its state in `_state`, one
    row per environment. The episode ends after `episode_length` control steps: for good, or
    by truncation where `is_truncated`. Fitness is the sum of what `_reward` calls gained.
    """

    observation_dim = 1
    action_dim = 1
    metric_names: Tuple[str, ...] = ("fitness",)
    success_metric = ""
    state_parts: Mapping[str, int] = MappingProxyType({})
    is_truncated = False
    observes_clock = False

    def __init__(
        self, cfg: ProbeCfg, num_envs: int, device: torch.device, seed: int, num_agents: int = 1
    ) -> None:
        """Build the environments; `reset` begins the first episodes.

        Args:
            cfg: settings.
            num_envs: N.
            device: where all tensors live.
            seed: of the probe's own generator.
            num_agents: K; only the gene probe must know which agent owns an environment.
        """
        if cfg.episode_length < 1:
            raise ValueError(f"task.episode_length={cfg.episode_length}: must be at least 1")
        self.spec = EnvSpec(
            name=cfg.name,
            engine="torch",
            num_envs=num_envs,
            observation_dim=self.observation_dim,
            action_dim=self.action_dim,
            control_dt_s=0.05,
            metrics=tuple(self.metric_names),
            objective=self.metric_names[-1],
            success=self.success_metric,
            headline=(self.success_metric,) if self.success_metric else (),
            state_parts=dict(self.state_parts),
        )
        self.device = device
        self.num_agents = num_agents
        self.episode_length = cfg.episode_length
        self._generator = torch.Generator(device).manual_seed(seed)
        self.episodes = Episodes(num_envs, cfg.episode_length, device)
        self._state: Dict[str, Tensor] = {}

    @property
    def time_limit(self) -> int:
        """H, control steps."""
        return self.episode_length

    def start_late(self, elapsed: Tensor) -> None:
        """Let the next `reset` begin episodes whose clocks show `elapsed` [N] int64."""
        self.episodes.start_late(elapsed)

    def reset(self) -> Tensor:
        """Begin a new episode everywhere and return the observation [N, O]."""
        self.episodes.begin()
        self._state = self._begin()
        return self._observe()

    def step(self, action: Tensor) -> Step:
        """Apply `action` [N, A] for one control step."""
        reward, gained = self._reward(action.clamp(-1.0, 1.0))
        done = self.episodes.count(gained)
        metrics = dict.fromkeys(self.metric_names, self.episodes.returns)
        final_observation, final_state = self._observe(), self._reveal()
        is_partial, spread = self.episodes.is_partial, self.episodes.spread()
        self._restart(done)
        never = torch.zeros_like(done)
        return Step(
            observation=self._observe(),
            reward=reward,
            terminated=never if self.is_truncated else done,
            truncated=done if self.is_truncated else never,
            final_observation=final_observation,
            metrics=metrics,
            scalars={"clock_spread": spread},
            is_partial=is_partial,
            state=self._reveal(),
            final_state=final_state,
        )

    def state_dict(self) -> Dict[str, Any]:
        """Return everything that changes."""
        return {
            **self.episodes.state_dict(),
            "state": {name: value.clone() for name, value in self._state.items()},
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self.episodes.load_state_dict(state)
        self._state = {
            name: value.to(self.device, copy=True) for name, value in state["state"].items()
        }
        self._generator.set_state(state["generator"].cpu())

    def close(self) -> None:
        """Nothing to free."""

    def _restart(self, done: Tensor) -> None:
        """Begin a new episode where `done` [N]; drawn for all, since a mask costs no sync."""
        fresh = self._begin()
        for name, value in self._state.items():
            mask = done.view(-1, *[1] * (value.dim() - 1))
            self._state[name] = torch.where(mask, fresh[name], value)
        self.episodes.restart(done)

    def _signs(self) -> Tensor:
        """Draw -1 or 1 for every environment, [N]."""
        coin = torch.rand(self.spec.num_envs, generator=self._generator, device=self.device)
        return torch.where(coin < 0.5, -1.0, 1.0)

    def _points(self) -> Tensor:
        """Draw points [N, 2] uniformly from the square [-1, 1]^2, m."""
        shape = (self.spec.num_envs, 2)
        return 2.0 * torch.rand(shape, generator=self._generator, device=self.device) - 1.0

    def _begin(self) -> Dict[str, Tensor]:
        """Draw the state of a new episode for all environments."""
        return {}

    def _observe(self) -> Tensor:
        """Return the observation [N, O] of the present state."""
        return torch.zeros(self.spec.num_envs, self.observation_dim, device=self.device)

    def _reveal(self) -> Optional[Tensor]:
        """Return what the critic alone may see [N, S] of the present state; None: nothing."""
        return None

    def _reward(self, action: Tensor) -> Tuple[Tensor, Tensor]:
        """Apply the clamped action: reward [N] and gain of fitness [N]."""
        raise NotImplementedError


class ValueProbe(Probe):
    """Reward 1 whatever is done. With one-step episodes the value is exactly 1."""

    def _reward(self, action: Tensor) -> Tuple[Tensor, Tensor]:
        reward = torch.ones_like(action[:, 0])
        return reward, reward


class DiscountProbe(Probe):
    """Reward 1 at the last step only: the value r steps before the end is gamma^(r - 1).

    The observation is the share of the episode that has elapsed, in [0, 1).
    """

    observes_clock = True

    def _observe(self) -> Tensor:
        return (self.episodes.elapsed / self.episode_length).unsqueeze(-1)

    def _reward(self, action: Tensor) -> Tuple[Tensor, Tensor]:
        reward = (self.episodes.elapsed == self.episode_length - 1).float()
        return reward, reward


class PolicyProbe(Probe):
    """The action must agree with an observed sign: reward action * sign, at best 1."""

    def _begin(self) -> Dict[str, Tensor]:
        return {"sign": self._signs()}

    def _observe(self) -> Tensor:
        return self._state["sign"].unsqueeze(-1)

    def _reward(self, action: Tensor) -> Tuple[Tensor, Tensor]:
        reward = action[:, 0] * self._state["sign"]
        self._state["sign"] = self._signs()
        return reward, reward


class MemoryProbe(Probe):
    """The last action must agree with the sign shown in the first observation.

    Observation: the sign in the first step and 0 afterwards; 1 in the last step, else 0.
    The reward comes at the last step: at best 1, on average 0 without a memory.
    """

    observation_dim = 2

    def _begin(self) -> Dict[str, Tensor]:
        return {"sign": self._signs()}

    def _observe(self) -> Tensor:
        cue = self._state["sign"] * (self.episodes.elapsed == 0)
        is_last = (self.episodes.elapsed == self.episode_length - 1).float()
        return torch.stack([cue, is_last], dim=-1)

    def _reward(self, action: Tensor) -> Tuple[Tensor, Tensor]:
        is_last = self.episodes.elapsed == self.episode_length - 1
        reward = action[:, 0] * self._state["sign"] * is_last
        return reward, reward


class GeneProbe(Probe):
    """Every agent has its own best action and observes nothing: only its gene can tell.

    The targets lie evenly in [-0.75, 0.75], shuffled by the seed; the reward is
    1 - |action - target|, at best 1. A policy blind to the gene reaches on average no more
    than 1 - mean |target|. Followers' data mislead the leader here, whose target is
    another: train with `aggregation` off.
    """

    def __init__(
        self, cfg: ProbeCfg, num_envs: int, device: torch.device, seed: int, num_agents: int = 1
    ) -> None:
        """Build the environments and hide the targets (see `Probe`)."""
        super().__init__(cfg, num_envs, device, seed, num_agents)
        order = torch.randperm(num_agents, generator=torch.Generator().manual_seed(seed))
        targets = torch.linspace(-0.75, 0.75, num_agents)[order]
        owner = torch.arange(num_envs) * num_agents // num_envs
        self.target = targets[owner].to(device)  # [K] -> [N]

    def _reward(self, action: Tensor) -> Tuple[Tensor, Tensor]:
        reward = 1.0 - (action[:, 0] - self.target).abs()
        return reward, reward


class HiddenProbe(Probe):
    """Every step is worth a sign that only the critic may see, plus what the action gains.

    Observation: the share of the episode that has elapsed. State: the sign of the episode, and the
    observation. Reward: 2 sign + action, on average at best 1; fitness is the action's part.
    Without the state the value is off by the sign, whatever the critic learns.
    """

    observes_clock = True
    state_parts = MappingProxyType({"sign": 1, "elapsed": 1})

    def present_state(self) -> Tensor:
        """Return the state [N, 2]."""
        return self._reveal()

    def _begin(self) -> Dict[str, Tensor]:
        return {"sign": self._signs()}

    def _observe(self) -> Tensor:
        return (self.episodes.elapsed / self.episode_length).unsqueeze(-1)

    def _reveal(self) -> Tensor:
        return torch.cat([self._state["sign"].unsqueeze(-1), self._observe()], dim=-1)

    def _reward(self, action: Tensor) -> Tuple[Tensor, Tensor]:
        return 2.0 * self._state["sign"] + action[:, 0], action[:, 0]


class ReachProbe(Probe):
    """Steer a point in the plane to one goal after another until the time is up.

    Observation: position [2] and goal minus position [2], m. Action: velocity in units of
    `max_step_m` per control step. Reward: approach to the goal, m, plus 1 when it is
    reached. Fitness: goals reached in the episode.
    """

    observation_dim = 4
    action_dim = 2
    metric_names = ("fitness", "successes")
    success_metric = "successes"
    is_truncated = True
    max_step_m = 0.1
    reach_m = 0.1

    def _begin(self) -> Dict[str, Tensor]:
        return {"position": self._points(), "goal": self._points()}

    def _observe(self) -> Tensor:
        position, goal = self._state["position"], self._state["goal"]
        return torch.cat([position, goal - position], dim=-1)

    def _reward(self, action: Tensor) -> Tuple[Tensor, Tensor]:
        before, goal = self._state["position"], self._state["goal"]
        after = (before + self.max_step_m * action).clamp(-1.0, 1.0)
        distance = (goal - after).norm(dim=-1)
        is_reached = distance < self.reach_m
        approach = (goal - before).norm(dim=-1) - distance
        self._state["position"] = after
        self._state["goal"] = torch.where(is_reached.unsqueeze(-1), self._points(), goal)
        gained = is_reached.float()
        return approach + gained, gained


PROBES: Dict[str, Type[Probe]] = {
    "value": ValueProbe,
    "discount": DiscountProbe,
    "policy": PolicyProbe,
    "memory": MemoryProbe,
    "gene": GeneProbe,
    "hidden": HiddenProbe,
    "reach": ReachProbe,
}


def make_probe(
    cfg: ProbeCfg, num_envs: int, device: torch.device, seed: int, num_agents: int = 1
) -> Probe:
    """Build the probe that `cfg.probe` names.

    Raises:
        ValueError: if there is none of that name.
    """
    if cfg.probe not in PROBES:
        raise ValueError(f"task.probe={cfg.probe!r}: choose one of {', '.join(PROBES)}")
    return PROBES[cfg.probe](cfg, num_envs, device, seed, num_agents)
