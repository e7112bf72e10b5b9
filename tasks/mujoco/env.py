"""N environments of a task over a MuJoCo model: the clock and the resets."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from epo.envs import EnvSpec, Step
from tasks.engines.build import make_simulator
from tasks.episodes import Episodes
from tasks.mujoco.task import MujocoTask


class MujocoEnv:
    """Steps a task in all worlds at once, on either engine, without waiting for a GPU.

    The metrics are `fitness`, the return of the episode, and the task's success.

    Args:
        task: what is stepped.
        cfg: checked settings, with `name` and `episode_length`.
        engine_cfg: checked, its engine chosen.
        num_envs: N.
        device: where all tensors live.
        seed: of everything random.

    Attributes:
        sim: the worlds.
        episodes: their clocks and returns.
        time_limit: H, control steps of an episode that nothing else ends.
        terms: [R, N] reward terms of the last step.
    """

    def __init__(
        self,
        task: MujocoTask,
        cfg: Any,
        engine_cfg: Any,
        num_envs: int,
        device: torch.device,
        seed: int,
    ) -> None:
        fields = task.fields(num_envs, torch.Generator().manual_seed(seed))
        self.task, self.cfg = task, cfg
        self.sim = make_simulator(task.model, engine_cfg, num_envs, device, fields)
        self.device, self.time_limit = self.sim.device, cfg.episode_length
        self.reward_names = tuple(name for name, _ in task.reward)
        success = (task.success_metric,) if task.success_metric else ()
        self.spec = EnvSpec(
            name=cfg.name,
            engine=engine_cfg.name,
            num_envs=num_envs,
            observation_dim=task.observation_dim,
            action_dim=task.action_dim,
            control_dt_s=self.sim.control_dt_s,
            versions=self.sim.versions,
            metrics=("fitness", *success),
            success=task.success_metric,
            headline=success,
        )
        self._generator = torch.Generator(self.device).manual_seed(seed)
        self.episodes = Episodes(num_envs, cfg.episode_length, self.device)
        self._all = torch.ones(num_envs, dtype=torch.bool, device=self.device)
        self.terms = torch.zeros(len(task.reward), num_envs, device=self.device)

    def start_late(self, elapsed: Tensor) -> None:
        """Let the next `reset` begin episodes whose clocks show `elapsed` [N] int64."""
        self.episodes.start_late(elapsed)

    def reset(self) -> Tensor:
        """Begin a new episode everywhere and return the observation [N, O]."""
        self.restart(self._all)
        self.episodes.begin()
        return self.task.observe(self.sim)

    def step(self, action: Tensor) -> Step:
        """Apply `action` [N, A] for one control step."""
        sim, task = self.sim, self.task
        action = action.clamp(-1.0, 1.0)
        sim.ctrl.copy_(task.control(sim, action))
        sim.step()
        # A world that left the sensible range pays and shows nothing that is not finite.
        bad = sim.bad.clone()
        self.terms = task.terms(sim, action).masked_fill(bad, 0.0)
        reward = self.terms.sum(0)
        episodes = self.episodes
        terminated = task.failed(sim) | bad
        truncated = episodes.count(reward) & ~terminated
        metrics = {"fitness": episodes.returns}
        if task.success_metric:
            metrics[task.success_metric] = (task.succeeded(sim) & ~terminated).float()
        final_observation = task.observe(sim).masked_fill(bad[:, None], 0.0)
        scalars = {
            "clock_spread": episodes.spread(),
            "bad_worlds": bad.sum().float(),
        }
        is_partial = episodes.is_partial
        done = terminated | truncated
        observation = final_observation
        # On a GPU asking whether any is done would make the host wait.
        if self.device.type != "cpu" or bool(done.any()):
            self.restart(done)
            observation = torch.where(done[:, None], task.observe(sim), final_observation)
        return Step(
            observation=observation,
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            final_observation=final_observation,
            metrics=metrics,
            scalars=scalars,
            reward_terms=self.terms,
            is_partial=is_partial,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return everything that changes."""
        return {
            "sim": self.sim.state_dict(),
            **self.episodes.state_dict(),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self.sim.load_state_dict(state["sim"])
        self.episodes.load_state_dict(state)
        self._generator.set_state(state["generator"].cpu())

    def close(self) -> None:
        """Free threads and device memory."""
        self.sim.close()

    def restart(self, done: Tensor) -> None:
        """Begin new episodes where `done` [N]; starts are drawn for all worlds."""
        start = self.task.start(self.sim, self._generator)
        mocap = torch.where(done[:, None, None], start.mocap, self.sim.mocap)
        self.sim.mocap.copy_(mocap)
        self.sim.set_state(done, start.qpos, start.qvel)
        self.episodes.restart(done)
