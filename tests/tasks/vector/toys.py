"""Batched environments with known episodes, in the manners of several libraries.

Environment i counts from 0; its episodes last 3 + i steps, and end by termination where i is even,
by truncation where it is odd. It shows [count, number of the episode] and pays the new count.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Dict, Optional, Tuple

import numpy as np
import torch

from tasks.probes.config import ProbeCfg
from tasks.probes.env import make_probe

BOX = SimpleNamespace(low=-np.ones(2), high=np.array([3.0, np.inf]), shape=(2,), dtype=np.float32)
DISCRETE = SimpleNamespace(n=3, start=0, shape=(), dtype=np.int64)


class Counting:
    """What all of them share."""

    def __init__(self, num_envs: int, space: Any = BOX) -> None:
        self.num_envs, self.single_action_space = num_envs, space
        self.length = 3 + np.arange(num_envs)
        self.count, self.episode = (np.zeros(num_envs, np.int64) for _ in range(2))
        self.actions: list = []
        self.is_closed = False

    def begin(self, where: np.ndarray) -> None:
        self.count[where] = 0
        self.episode[where] += 1

    def observe(self) -> np.ndarray:
        return np.stack([self.count, self.episode], axis=1).astype(np.float64)

    def advance(self, action: Any) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return reward, terminated, truncated."""
        self.actions.append(action)
        self.count += 1
        done = self.count >= self.length
        is_even = np.arange(self.num_envs) % 2 == 0
        return self.count.astype(np.float64), done & is_even, done & ~is_even

    def close(self) -> None:
        self.is_closed = True


class GymnasiumToy(Counting):
    """Gymnasium's way, in one of the three modes; `as_torch`: with tensors."""

    def __init__(
        self, num_envs: int, mode: str = "next_step", as_torch: bool = False, **more: Any
    ) -> None:
        super().__init__(num_envs, **more)
        self.mode, self.as_torch = mode, as_torch
        self.metadata = {"autoreset_mode": SimpleNamespace(name=mode.upper())}
        self._done = np.zeros(num_envs, bool)

    def reset(self, *, seed: Optional[int] = None, options: Optional[Dict] = None) -> Any:
        mask = np.ones(self.num_envs, bool)
        if options and "reset_mask" in options:
            mask = np.asarray(options.pop("reset_mask"))
        self.begin(mask)
        self._done[:] = False
        return self.give(self.observe()), {}

    def give(self, array: np.ndarray) -> Any:
        return torch.from_numpy(array) if self.as_torch else array

    def step(self, action: Any) -> Any:
        before = self._done
        self.count[before & (self.mode == "next_step")] = -1
        reward, terminated, truncated = self.advance(action)
        if self.mode == "next_step":
            self.begin(before)
            reward[before], terminated[before], truncated[before] = 7.0, False, False
        self._done = terminated | truncated
        observation, info = self.observe(), {"success": self.give(self.count == 3)}
        if self.mode == "same_step" and self._done.any():
            self.end(info, observation)
            self.begin(self._done)
            info["success"] = self.give(self.count == 3)  # the new episode's
            observation = self.observe()
        values = (observation, reward, terminated, truncated)
        return (*(self.give(value) for value in values), info)

    def end(self, info: Dict[str, Any], observation: np.ndarray) -> None:
        objects = np.full(self.num_envs, None, dtype=object)
        for i in np.flatnonzero(self._done):
            objects[i] = observation[i]
        info.update(final_obs=objects, _final_obs=self._done)
        info["final_info"] = {"success": self.count == 3}


class GroupsToy(GymnasiumToy):
    """Shows groups: what the policy sees, and its negative."""

    @staticmethod
    def split(rows: Any) -> Dict[str, Any]:
        return {"policy": rows, "hidden": -rows}

    def reset(self, **given: Any) -> Any:
        observation, info = super().reset(**given)
        return self.split(observation), info

    def step(self, action: Any) -> Any:
        observation, *rest, info = super().step(action)
        if "final_obs" in info:
            for i, row in enumerate(info["final_obs"]):
                info["final_obs"][i] = None if row is None else self.split(row)
        return (self.split(observation), *rest, info)


class ManiSkillToy(GymnasiumToy):
    """ManiSkill's way: names of Gymnasium 0.29, tensors of all environments, a mask."""

    auto_reset = True

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs, "same_step", as_torch=True)
        self.metadata = {}

    def end(self, info: Dict[str, Any], observation: np.ndarray) -> None:
        nonsense = np.where(self._done[:, None], observation, -5.0)
        info.update(final_observation=self.give(nonsense), _final_observation=self.give(self._done))
        info["final_info"] = {"success": self.give(self.count == 3)}


class ManagerToy(Counting):
    """Isaac Lab's and mjlab's way; its buffers are its own, and are written again.

    Args:
        num_envs: N.
        last: where the last observation of an episode is: `lost`, `extras` (Isaac Lab 3.0) or
            `manual`, after which the caller begins the episodes (mjlab).
        group: what the observation of the policy is called.
    """

    step_dt = 0.02

    def __init__(self, num_envs: int, last: str = "lost", group: str = "policy") -> None:
        super().__init__(num_envs)
        self.last, self.group = last, group
        self.cfg = SimpleNamespace(auto_reset=last != "manual")
        self.episode_length_buf = torch.zeros(num_envs)
        self.common_step_counter = 0
        self.extras: Dict[str, Any] = {}
        self._rows = torch.zeros(num_envs, 2)
        self._reward, self._pending = torch.zeros(num_envs), np.zeros(num_envs, bool)
        self._flags = torch.zeros(2, num_envs, dtype=torch.bool)

    @property
    def unwrapped(self) -> ManagerToy:
        return self

    def show(self) -> Dict[str, Any]:
        self._rows.copy_(torch.from_numpy(self.observe()))
        hidden = torch.full((self.num_envs, 1), 7.0)
        return {"critic": torch.cat([hidden, -self._rows], dim=1), self.group: self._rows}

    def reset(self, *, seed: Any = None, env_ids: Any = None) -> Any:
        rows = np.arange(self.num_envs) if env_ids is None else env_ids.numpy()
        self.begin(rows)
        self._pending[rows] = False
        self.extras["log"] = {"Episode_Reward/count": torch.tensor(float(len(rows)))}
        shown = self.show()
        if env_ids is not None:  # the noise of all is drawn anew
            others = np.setdiff1d(np.arange(self.num_envs), rows)
            self._rows[others] = -9.0
        return shown, self.extras

    def step(self, action: torch.Tensor) -> Any:
        assert not self._pending.any()
        self.common_step_counter += 1
        self.extras["log"] = {}
        reward, terminated, truncated = self.advance(action)
        truncated = truncated | terminated  # both may be set
        self._reward.copy_(torch.from_numpy(reward))
        self._flags.copy_(torch.from_numpy(np.stack([terminated, truncated])))
        done = terminated | truncated
        if self.last == "extras":
            self.extras["final_obs"] = {name: x.clone() for name, x in self.show().items()}
        if self.last == "manual":
            self._pending = done
        elif done.any():
            self.begin(done)
            self.extras["log"] = {"Episode_Reward/count": 1.5, "words": "no number"}
        return self.show(), self._reward, self._flags[0], self._flags[1], self.extras


class ClockToy(ManagerToy):
    """Counts its control steps in `episode_length_buf`, as Isaac Lab does; ends after five."""

    max_episode_length = 5

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs)
        self.episode_length_buf = torch.zeros(num_envs, dtype=torch.long)

    def begin(self, where: np.ndarray) -> None:
        super().begin(where)
        self.episode_length_buf[torch.as_tensor(where)] = 0

    def advance(self, action: Any) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        reward, *_ = super().advance(action)
        self.episode_length_buf += 1
        is_late = (self.episode_length_buf >= self.max_episode_length).numpy()
        return reward, np.zeros_like(is_late), is_late

    def draw(self, index: int) -> np.ndarray:
        return np.full((4, 6, 3), self.count[index], np.uint8)


def make_clock(num_envs: int, device: str, seed: int) -> ClockToy:
    return ClockToy(num_envs)


def make_gymnasium(num_envs: int, **kwargs: Any) -> GymnasiumToy:
    return GymnasiumToy(num_envs, **kwargs)


def make_groups(num_envs: int, **kwargs: Any) -> GroupsToy:
    return GroupsToy(num_envs, **kwargs)


def make_manager(num_envs: int, device: str, seed: int, **kwargs: Any) -> ManagerToy:
    return ManagerToy(num_envs, **kwargs)


def make_ours(num_envs: int, device: str, seed: int) -> Any:
    cfg = ProbeCfg(name="Mine", probe="reach", episode_length=20)
    return make_probe(cfg, num_envs, torch.device(device), seed)


def make_fixed() -> GymnasiumToy:
    return GymnasiumToy(5)


def make_nothing(num_envs: int) -> None:
    pass


def make_single() -> Any:
    return SimpleNamespace(reset=None, step=None)


def make_failing(num_envs: int) -> Any:
    raise RuntimeError("no licence\nand more")


def make_silent(num_envs: int) -> Any:
    toy = GymnasiumToy(num_envs)
    toy.metadata = {}
    return toy


def make_wrong_rows(num_envs: int) -> Any:
    toy = GymnasiumToy(num_envs)
    toy.observe = lambda: np.zeros((num_envs + 1, 2))
    return toy


def make_nan(num_envs: int) -> Any:
    toy = GymnasiumToy(num_envs)
    toy.observe = lambda: np.full((num_envs, 2), np.nan)
    return toy


def make_wrong_ours(num_envs: int, device: str, seed: int) -> Any:
    env = make_ours(num_envs, device, seed)
    step = env.step
    env.step = lambda action: step(action)._replace(reward=torch.zeros(num_envs, 1))
    return env
