"""Gymnasium's `VectorEnv`, and environments that speak the same, such as ManiSkill's.

Source: gymnasium 1.4 `vector/vector_env.py`; ManiSkill 3 `vector/wrappers/gymnasium.py`.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

import numpy as np
import torch
from torch import Tensor

from tasks.errors import refuse
from tasks.vector.config import AUTORESETS, VectorCfg
from tasks.vector.dialect import Moment, as_tensor
from tasks.vector.spaces import Actions, Observations

FINAL_KEYS = ("final_obs", "final_observation")
"""Where the last observation of an episode is: since Gymnasium 1.1; before, and in ManiSkill."""
DEFAULT_RATE_HZ = 30.0


class GymnasiumDialect:
    """Five values a step, the last a dictionary; three modes of beginning the next episode."""

    def __init__(
        self, env: Any, cfg: VectorCfg, num_envs: int, device: torch.device, seed: int
    ) -> None:
        self.env, self.num_envs, self.device = env, num_envs, device
        self.name = cfg.id or str(getattr(getattr(env, "spec", None), "id", None) or cfg.name)
        self._mode, self._success = autoreset_of(env, cfg), cfg.success
        self.ignores_actions = self._mode == "next_step"
        sample, _ = env.reset(seed=seed)
        space = getattr(env, "single_observation_space", None)
        self._observations = Observations(
            self.name,
            sample,
            space,
            cfg.observation_groups,
            cfg.critic_groups,
            num_envs,
            device,
        )
        self.state_parts = self._observations.state_parts
        self.observation_dim = self._observations.dim
        self.image_shape = self._observations.image_shape
        self.actions = Actions(
            self.name,
            env.single_action_space,
            cfg.action_range,
            device,
            self._observations.is_numpy,
        )
        self.control_dt_s = 1.0 / _rate_hz(env)
        self.first = self._observations.flat(sample)
        self._began = torch.zeros(num_envs, dtype=torch.bool, device=device)

    def reset(self) -> Tensor:
        """Begin a new episode everywhere; the random numbers continue."""
        self._began = torch.zeros_like(self._began)
        return self._observations.flat(self.env.reset()[0])

    def step(self, action: Any) -> Moment:
        """Step, and begin the next episodes where the environments leave that to us."""
        raw, reward, terminated, truncated, info = self.env.step(action)
        terminated = as_tensor(terminated, self.device, torch.bool)
        truncated = as_tensor(truncated, self.device, torch.bool)
        done = terminated | truncated
        observation = final = self._observations.flat(raw)
        success = self._told(info, done)
        ignored: Optional[Tensor] = None
        if self._mode == "next_step":
            # Where the last step ended an episode, this one only began the next.
            ignored, self._began = self._began, done
        elif self._mode == "same_step":
            final = self._final(info, observation, done)
        elif self._any(done):
            final = final.clone()  # the reset may write into the same arrays
            observation = torch.where(done[:, None], self._begin(done), final)
        return Moment(
            observation,
            as_tensor(reward, self.device, torch.float32),
            terminated,
            truncated,
            final,
            ignored,
            success,
            info.get("log", {}) if isinstance(info.get("log"), dict) else {},
        )

    def state_dict(self) -> Dict[str, Any]:
        """Return nothing: such environments cannot be saved."""
        return {}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Take over nothing."""

    def _begin(self, done: Tensor) -> Tensor:
        """Begin the next episode where `done` [N]; the rows of the others mean nothing."""
        mask = done.cpu().numpy() if self._observations.is_numpy else done
        # A fresh dictionary: the environment takes the entry out of it.
        return self._observations.flat(self.env.reset(options={"reset_mask": mask})[0])

    def _final(self, info: Mapping[str, Any], observation: Tensor, done: Tensor) -> Tensor:
        """Return the observation [N, O], the last one of the episode where it ended."""
        key = next((key for key in FINAL_KEYS if key in info), None)
        if key is None:
            return observation
        value = info[key]
        if isinstance(value, np.ndarray) and value.dtype == object:
            # An array of observations, None where no episode ended.
            rows = [i for i, item in enumerate(value) if item is not None]
            if not rows:
                return observation
            final = observation.clone()
            final[rows] = self._rows(value, rows)
            return final
        mask = info.get(f"_{key}")
        ended = done if mask is None else as_tensor(mask, self.device, torch.bool)
        return torch.where(ended[:, None], self._observations.flat(value), observation)

    def _rows(self, items: np.ndarray, rows: Any) -> Tensor:
        """Flatten the observations of some environments, as if those of all had been given."""
        filler = items[rows[0]]
        batch = [filler if item is None else item for item in items]
        return self._observations.flat(_stack(batch))[rows]

    def _told(self, info: Mapping[str, Any], done: Tensor) -> Optional[Tensor]:
        """Return where an episode is successful [N]; None: nobody tells.

        After a reset in the same step `info` is the new episode's, `final_info` the old one's.
        """
        value = info.get(self._success)
        final = info.get("final_info")
        ended = final.get(self._success) if isinstance(final, Mapping) else None
        if value is None and ended is None:
            return None
        now = torch.zeros_like(done) if value is None else as_tensor(value, self.device, torch.bool)
        if ended is None:
            return now
        return torch.where(done, as_tensor(ended, self.device, torch.bool), now)

    def _any(self, done: Tensor) -> bool:
        # On a GPU the host waits for this answer: the price of the mode `disabled`.
        return bool(done.any())


def autoreset_of(env: Any, cfg: VectorCfg) -> str:
    """Return when the environments begin the next episode.

    Raises:
        ValueError: if they do not say.
    """
    if cfg.autoreset != "auto":
        return cfg.autoreset
    mode = (getattr(env, "metadata", None) or {}).get("autoreset_mode")
    if mode is not None:
        name = str(getattr(mode, "name", mode)).lower()
        if name in AUTORESETS:
            return name
    if getattr(env, "auto_reset", False) is True:  # ManiSkill
        return "same_step"
    way_out = "its metadata do not say when the next episode begins; say it: "
    return refuse("task.autoreset", "auto", way_out + ", ".join(AUTORESETS[1:]))


def _stack(items: Any) -> Any:
    if isinstance(items[0], Mapping):
        return {key: _stack([item[key] for item in items]) for key in items[0]}
    if isinstance(items[0], tuple):
        return tuple(_stack(list(parts)) for parts in zip(*items))
    if isinstance(items[0], Tensor):
        return torch.stack(items)
    return np.stack(items)


def _rate_hz(env: Any) -> float:
    rate = (getattr(env, "metadata", None) or {}).get("render_fps")
    rate = getattr(getattr(env, "unwrapped", env), "control_freq", rate)  # ManiSkill
    return float(rate) if isinstance(rate, (int, float)) and rate > 0 else DEFAULT_RATE_HZ
