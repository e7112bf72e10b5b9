"""The manager-based API of Isaac Lab and mjlab: groups of observations, two flags, a log.

Source: mjlab 1.6 `envs/manager_based_rl_env.py`; Isaac Lab 2.3 `envs/manager_based_rl_env.py`, and
the changes of 3.0 (`compute_final_obs`).
"""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Tuple

import torch
from torch import Tensor

from tasks.vector.config import VectorCfg
from tasks.vector.dialect import Moment, as_tensor
from tasks.vector.spaces import Actions, Observations, actor_groups, critic_groups

COUNTERS = ("common_step_counter",)
"""What their curricula count with, and everything that the libraries save themselves."""


class ManagerDialect:
    """Five values a step; rewards and flags are the environment's own buffers.

    The last observation of an episode is, by what the environment offers: `extras["final_obs"]`
    (Isaac Lab 3.0); what the step returned, where `cfg.auto_reset` is false and the episodes are
    started here (mjlab); or else the observation before the last step, as in rsl_rl, whose value
    stands for the one that was lost.
    """

    ignores_actions = False

    def __init__(
        self, env: Any, cfg: VectorCfg, num_envs: int, device: torch.device, seed: int
    ) -> None:
        self.env, self.num_envs, self.device = env, num_envs, device
        its = env.unwrapped
        self._keeps_copies = False
        self.name = cfg.id or str(getattr(getattr(env, "spec", None), "id", None) or cfg.name)
        self._success = cfg.success
        self._begins_itself = getattr(its.cfg, "auto_reset", True)
        sample, _ = env.reset(seed=seed)
        groups = actor_groups(sample, cfg.observation_groups)
        critic = critic_groups(sample, cfg.critic_groups)
        self._observations = Observations(self.name, sample, None, groups, critic, num_envs, device)
        self.state_parts = self._observations.state_parts
        self.observation_dim = self._observations.dim
        self.image_shape = self._observations.image_shape
        self.actions = Actions(
            self.name, its.single_action_space, cfg.action_range, device, is_numpy=False
        )
        self.control_dt_s = float(its.step_dt)
        self.first = self._before = self._observations.flat(sample)

    def reset(self) -> Tensor:
        """Begin a new episode everywhere; the random numbers continue."""
        self._before = self._observations.flat(self.env.reset()[0])
        return self._before

    def step(self, action: Tensor) -> Moment:
        """Step, and begin the next episodes where the environment leaves that to us."""
        before = self._before
        raw, reward, terminated, truncated, extras = self.env.step(action)
        terminated = as_tensor(terminated, self.device, torch.bool).clone()
        truncated = as_tensor(truncated, self.device, torch.bool).clone()
        # Buffers of the environment, which a reset or the next step overwrites.
        reward = as_tensor(reward, self.device, torch.float32).clone()
        observation = self._observations.flat(raw)
        success = self._told(extras)
        log: Dict[str, Any] = dict(extras.get("log") or extras.get("episode") or {})
        if not self._begins_itself:
            observation, final, more = self._begin(terminated | truncated, observation)
            log.update(more)
        elif extras.get("final_obs") is not None:
            done = (terminated | truncated)[:, None]
            ended = self._observations.flat(extras["final_obs"])
            final = torch.where(done, ended, observation)
        else:
            if before.data_ptr() == observation.data_ptr():
                # It writes all observations into one buffer: keep a copy from now on.
                self._keeps_copies = True
            final = before
        self._before = observation.clone() if self._keeps_copies else observation
        return Moment(observation, reward, terminated, truncated, final, None, success, log)

    @property
    def time_limit(self) -> int:
        """H, control steps of an episode that nothing else ends."""
        return int(self.env.unwrapped.max_episode_length)

    def clock(self) -> Tensor:
        """Return the control steps [N] of the present episodes."""
        return self.env.unwrapped.episode_length_buf

    def set_clock(self, elapsed: Tensor) -> None:
        """Let the present episodes be as old as `elapsed` [N] int64 says, as rsl_rl does."""
        self.env.unwrapped.episode_length_buf.copy_(elapsed)

    def state_dict(self) -> Dict[str, Any]:
        """Return the counters of the curricula."""
        its = self.env.unwrapped
        return {name: int(getattr(its, name)) for name in COUNTERS if hasattr(its, name)}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Take over the counters."""
        for name in COUNTERS:
            if name in state:
                setattr(self.env.unwrapped, name, state[name])

    def _begin(self, done: Tensor, observation: Tensor) -> Tuple[Tensor, Tensor, Mapping[str, Any]]:
        """Begin the next episode where `done` [N].

        Returns:
            [N, O] to act on next, [N, O] last of the ended episodes, and what the environment logs
            of these.
        """
        rows = done.nonzero()[:, 0]  # mjlab waits for the device at this place, too
        if len(rows) == 0:
            return observation, observation, {}
        # A copy: the environment may write the new observations into the old ones' place.
        last = observation.clone()
        raw, extras = self.env.reset(env_ids=rows)
        # The noise of all rows is drawn again: take only those that were reset.
        fresh = torch.where(done[:, None], self._observations.flat(raw), last)
        return fresh, last, dict(extras.get("log") or {})

    def _told(self, extras: Mapping[str, Any]) -> Optional[Tensor]:
        value = extras.get(self._success)
        if not isinstance(value, Tensor) or value.shape != (self.num_envs,):
            return None
        return value.to(self.device, torch.bool)
