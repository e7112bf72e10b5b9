"""A tiny Q-learner with experience, and a task that it can solve: quick enough for every test."""

from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

import torch
from torch import Tensor

from epo.config import NormalizerCfg, PqlCfg
from epo.envs import Step
from epo.learner.pql.heads import make_head
from epo.learner.pql.learner import QLearner
from epo.learner.pql.n_step import Transition
from epo.learner.pql.networks import Networks
from epo.learner.pql.replay import Replay
from tasks.probes.config import ProbeCfg
from tasks.probes.env import Probe

INPUTS, ACTIONS = 3, 2
"""O and A of the networks here."""
CPU = torch.device("cpu")


class PointMass(Probe):
    """Steer a point on a line to the origin: reward -|x|, at best -0.5 n for n steps from +-1.

    Observation: the position. Action: velocity, at most 0.2 per control step.
    """

    is_truncated = True

    def _begin(self) -> Dict[str, Tensor]:
        return {"x": self._points()[:, :1]}

    def _observe(self) -> Tensor:
        return self._state["x"]

    def _reward(self, action: Tensor) -> Tuple[Tensor, Tensor]:
        self._state["x"] = (self._state["x"] + 0.2 * action).clamp(-1.0, 1.0)
        reward = -self._state["x"][:, 0].abs()
        return reward, reward


def point_mass(num_envs: int, episode_length: int = 10, seed: int = 0) -> PointMass:
    """Build the task."""
    return PointMass(ProbeCfg(episode_length=episode_length), num_envs, CPU, seed)


def small_networks(width: int = 1, seed: int = 0) -> Networks:
    """Build networks of a few units."""
    torch.manual_seed(seed)
    return Networks(INPUTS, ACTIONS, [16, 8], width, NormalizerCfg())


def small_learner(seed: int = 0, device: torch.device = CPU, **settings: Any) -> QLearner:
    """Build a learner whose replay buffer holds 64 random transitions."""
    cfg = PqlCfg(**settings)
    head = make_head(cfg, device)
    networks = small_networks(head.width).to(device)
    replay = Replay(128, 32, INPUTS, ACTIONS, device)
    for _ in range(2):
        replay.add(random_transition(32, device))
    return QLearner(networks, head, replay, cfg, batch_size=16, seed=seed)


def random_transition(num: int, device: torch.device = CPU) -> Transition:
    """Draw transitions of a task without sense."""
    return Transition(
        observation=torch.randn(num, INPUTS).to(device),
        action=(2.0 * torch.rand(num, ACTIONS) - 1.0).to(device),
        reward_sum=torch.randn(num).to(device),
        bootstrap=torch.full((num,), 0.97, device=device),
        next_observation=torch.randn(num, INPUTS).to(device),
        is_kept=torch.ones(num, dtype=torch.bool, device=device),
    )


def make_step(
    observation: Tensor,
    reward: Tensor,
    *,
    terminated: Optional[Tensor] = None,
    truncated: Optional[Tensor] = None,
    final_observation: Optional[Tensor] = None,
    valid: Optional[Tensor] = None,
) -> Step:
    """Build the result of a control step in which, unless said otherwise, nothing ends."""
    never = torch.zeros(len(reward), dtype=torch.bool)
    return Step(
        observation=observation,
        reward=reward,
        terminated=never if terminated is None else terminated,
        truncated=never if truncated is None else truncated,
        # Garbage where no episode ends, as the contract allows.
        final_observation=torch.full_like(observation, torch.nan)
        if final_observation is None
        else final_observation,
        metrics={"fitness": reward},
        scalars={},
        valid=valid,
    )
