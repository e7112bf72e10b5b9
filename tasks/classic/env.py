"""N environments of a classic task: the state, the clock and the resets."""

from __future__ import annotations

from typing import Any, Callable, Dict, Type

import torch
from torch import Tensor

from epo.envs import EnvSpec, Step
from tasks.classic.acrobot import Acrobot
from tasks.classic.cart_pole import CartPoleSwingUp
from tasks.classic.config import (
    AcrobotCfg,
    CartPoleSwingUpCfg,
    ClassicCfg,
    DeceptiveMazeCfg,
    MountainCarContinuousCfg,
    PendulumCfg,
    SparseReachCfg,
)
from tasks.classic.maze import DeceptiveMaze
from tasks.classic.mountain_car import MountainCarContinuous
from tasks.classic.pendulum import Pendulum
from tasks.classic.reach import SparseReach
from tasks.classic.task import Task, advance
from tasks.episodes import Episodes

TASKS: Dict[Type[ClassicCfg], Callable[[Any, torch.device], Task]] = {
    AcrobotCfg: Acrobot,
    CartPoleSwingUpCfg: CartPoleSwingUp,
    DeceptiveMazeCfg: DeceptiveMaze,
    MountainCarContinuousCfg: MountainCarContinuous,
    PendulumCfg: Pendulum,
    SparseReachCfg: SparseReach,
}


class ClassicEnv:
    """Steps a task for all environments at once, on any device, without waiting for it.

    The metrics are `fitness`, the return of the episode, and where a task has a goal whether it
    was reached: `successes` or `solved`.

    Args:
        cfg: checked settings.
        num_envs: N.
        device: where all tensors live.
        seed: of the random starts.

    Attributes:
        task: what is stepped.
        state: [S, N] of the task.
        episodes: their clocks and returns.
        time_limit: H, control steps of an episode that nothing else ends.
    """

    def __init__(self, cfg: ClassicCfg, num_envs: int, device: torch.device, seed: int) -> None:
        self.task = TASKS[type(cfg)](cfg, device)
        self.device = device
        success = (self.task.success_metric,) if self.task.success_metric else ()
        self.spec = EnvSpec(
            name=cfg.name,
            engine="torch",
            num_envs=num_envs,
            observation_dim=self.task.observation_dim,
            action_dim=self.task.action_dim,
            control_dt_s=cfg.frame_skip * self.task.control_dt_s,
            choices=(self.task.num_choices,) if self.task.num_choices else (),
            metrics=("fitness", *success),
            objective="successes" if "successes" in success else "fitness",
            success="".join(success),
            headline=success,
        )
        self.time_limit = cfg.episode_length
        self._frame_skip = cfg.frame_skip
        self._generator = torch.Generator(device).manual_seed(seed)
        self.episodes = Episodes(num_envs, cfg.episode_length, device)
        # The oldest pending action comes first.
        shape = (cfg.action_delay, self.task.action_dim, num_envs)
        self._pending = torch.full(shape, self.task.idle_action, device=device)
        self.state = self._draw()

    def start_late(self, elapsed: Tensor) -> None:
        """Let the next `reset` begin episodes whose clocks show `elapsed` [N] int64."""
        self.episodes.start_late(elapsed)

    def reset(self) -> Tensor:
        """Begin a new episode everywhere and return the observation [N, O]."""
        self.state = self._draw()
        self.episodes.begin()
        self._pending.fill_(self.task.idle_action)
        return self.task.observe(self.state)

    def step(self, action: Tensor) -> Step:
        """Apply `action` [N, A] for one control step."""
        state, reward, terminated = advance(
            self.task, self.state, self._effective(action), self._frame_skip
        )
        episodes = self.episodes
        truncated = episodes.count(reward) & ~terminated
        done = terminated | truncated
        final_observation = self.task.observe(state)
        metrics = {"fitness": episodes.returns}
        if self.task.success_metric:
            metrics[self.task.success_metric] = terminated.float()
        scalars = {"clock_spread": episodes.spread()}
        is_partial = episodes.is_partial
        # Drawn for all: choosing some would make the host wait for the device.
        self.state = torch.where(done, self._draw(), state)
        self._pending.masked_fill_(done, self.task.idle_action)
        episodes.restart(done)
        return Step(
            observation=self.task.observe(self.state),
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            final_observation=final_observation,
            metrics=metrics,
            scalars=scalars,
            is_partial=is_partial,
        )

    def state_dict(self) -> Dict[str, Any]:
        """Return everything that changes."""
        return {
            "state": self.state.clone(),
            **self.episodes.state_dict(),
            "pending": self._pending.clone(),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self.state = state["state"].to(self.device, copy=True)
        self.episodes.load_state_dict(state)
        self._pending = state["pending"].to(self.device, copy=True)
        self._generator.set_state(state["generator"].cpu())

    def close(self) -> None:
        """Nothing to free."""

    def _draw(self) -> Tensor:
        """Draw the first state [S, N] of an episode for every environment."""
        shape = (self.task.num_random, self.spec.num_envs)
        uniform = torch.rand(shape, generator=self._generator, device=self.device)
        return self.task.begin(uniform)

    def _effective(self, action: Tensor) -> Tensor:
        """Bring an action [N, A] into its range, and give what has its effect now, [A, N]."""
        choices = self.task.num_choices
        action = action.t().contiguous()  # [N, A] -> [A, N]
        action = action.round().clamp(0, choices - 1) if choices else action.clamp(-1.0, 1.0)
        if not len(self._pending):
            return action
        queue = torch.cat((self._pending, action[None]))
        self._pending = queue[1:].clone()
        return queue[0]
