"""Environments whose every number is known; `tests.tasks.gymnasium.toys:<name>` finds them."""

from __future__ import annotations

import os
import signal
from typing import Any, Optional

import gymnasium
import numpy as np
from gymnasium import Env, spaces

TOYS = "tests.tasks.gymnasium.toys:"


class Counting(Env):
    """Observe [draw of the episode, steps so far]; the reward is the action."""

    metadata = {"render_fps": 20, "render_modes": []}  # noqa: RUF012 (as Gymnasium has it)
    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = spaces.Box(
        np.array([-2, -np.inf], np.float32), np.array([6, np.inf], np.float32)
    )

    def __init__(self, length: int = 1000) -> None:
        self.length = length

    def reset(self, *, seed: Optional[int] = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.draw, self.steps = self.np_random.random(), 0
        return np.array([self.draw, 0.0]), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        assert action.shape == (2,) and self.action_space.contains(action)
        observation = np.array([self.draw, float(self.steps)])
        return observation, float(action[0]), self.steps >= self.length, False, {}


class Choice(Env):
    """Observe one of three places; the choices are 5, 6, 7 and the reward is the choice."""

    observation_space = spaces.Discrete(3)
    action_space = spaces.Discrete(3, start=5)

    def reset(self, *, seed: Optional[int] = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return 1, {}

    def step(self, action: Any) -> Any:
        return 2, float({5: 5, 6: 6, 7: 7}[action]), False, False, {}


class Spaces(Env):
    """Any spaces; observations are drawn from theirs."""

    def __init__(self, observation: Any = None, action: Any = None) -> None:
        self.observation_space = observation or spaces.Box(-1.0, 1.0, (1,))
        self.action_space = action or spaces.Discrete(2)

    def reset(self, *, seed: Optional[int] = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        return self.observation_space.sample(), 0.0, False, False, {}


class Lamp(Env):
    """One half of the image is lit; the choice of that half is rewarded. 8 steps an episode."""

    observation_space = spaces.Box(0, 255, (12, 16, 3), np.uint8)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: Optional[int] = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        return self._image(), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        reward = float(action == self.side)
        return self._image(), reward, self.steps == 8, False, {}

    def _image(self) -> np.ndarray:
        self.side = int(self.np_random.integers(2))
        image = self.np_random.integers(0, 100, (12, 16, 3), dtype=np.uint8)
        image[:, 8 * self.side : 8 * (self.side + 1)] += 100
        return image


class Broken(Counting):
    """Fails in its first reset or in its third step, or its process is killed there."""

    def __init__(self, fails_in: str = "step") -> None:
        super().__init__()
        self.fails_in = fails_in

    def reset(self, *, seed: Optional[int] = None, options: Any = None) -> Any:
        if self.fails_in == "reset":
            raise ArithmeticError("the reset\nis too much")
        return super().reset(seed=seed)

    def step(self, action: Any) -> Any:
        if self.steps == 2 and self.fails_in == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.steps == 2:
            raise ArithmeticError("the third step\nis too much")
        return super().step(action)


class Drawn(Counting):
    """Pictures of 20 x 10 pixels: grey of 10 per step, and a red of 255 times the draw."""

    metadata = {"render_fps": 20, "render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(
        self, length: int = 1000, render_mode: Optional[str] = None, breaks_at: int = 1000
    ) -> None:
        super().__init__(length)
        self.render_mode, self.breaks_at = render_mode, breaks_at

    def render(self) -> Any:
        if self.steps == self.breaks_at:
            raise ArithmeticError("the brush\nis broken")
        if self.breaks_at < 0:
            return np.zeros((2, 2))
        picture = np.full((10, 20, 3), 10 * self.steps, np.uint8)
        picture[..., 0] = round(255 * self.draw)
        return picture


for _name in ("Counting", "Choice", "Spaces", "Lamp", "Broken", "Drawn"):
    gymnasium.register(f"{_name}-v0", entry_point=f"{__name__}:{_name}")
gymnasium.register(
    "Limited-v0", entry_point=f"{__name__}:Counting", max_episode_steps=4, reward_threshold=10.0
)
