"""Some of the environments, stepped one after the other: in this process or in a worker."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

import numpy as np
from gymnasium import Env

from tasks.gymnasium.buffers import Buffers
from tasks.gymnasium.config import GymnasiumCfg
from tasks.gymnasium.environments import make_env, time_limit
from tasks.gymnasium.picture import Size, draw
from tasks.gymnasium.spaces import Actions, Observations

Generators = List[Optional[Dict[str, Any]]]
"""State of every environment's random numbers, plain types; None where it is not known."""
_KNOWN_GENERATOR = "PCG64"
"""Kind that Gymnasium gives to an environment; the state of others need not be plain."""


class FailedError(RuntimeError):
    """An environment, or the process it lives in, cannot go on."""


class Chunk:
    """The environments whose rows are in `buffers`.

    It does what Gymnasium's `SyncVectorEnv` does with same-step resets, but straight into the
    buffers, and it says which environment failed.

    Args:
        cfg: settings of the task.
        buffers: rows of these environments, at least one.
        first: index of the first of them in the task, for messages.
    """

    def __init__(self, cfg: GymnasiumCfg, buffers: Buffers, first: int) -> None:
        self._cfg, self._buffers, self._first = cfg, buffers, first
        self._envs: List[Env] = [make_env(cfg) for _ in buffers.reward]
        self._flat = Observations(cfg.env_id, self._envs[0].observation_space).flat
        self._unbatch = Actions(cfg.env_id, self._envs[0].action_space).unbatch

    def reset(self, seeds: Optional[Sequence[int]] = None) -> None:
        """Begin a new episode everywhere; with `seeds`, with new random numbers.

        Raises:
            FailedError: naming the environment, whatever it raised.
        """
        i = 0
        try:
            for i, env in enumerate(self._envs):
                observation, _ = env.reset(seed=None if seeds is None else seeds[i])
                self._buffers.observation[i] = self._flat(observation)
        except Exception as error:
            raise self._failure(i, "reset", error) from error

    def set_clocks(self, elapsed: Sequence[int]) -> None:
        """Let the time limits of the present episodes be over earlier.

        Args:
            elapsed: control steps that count as done, per environment.

        Raises:
            FailedError: naming the environment that has no time limit.
        """
        for i, (env, steps) in enumerate(zip(self._envs, elapsed)):
            limit = time_limit(env)
            if limit is None:
                raise self._failure(i, "set_clocks", ValueError("there is no time limit"))
            limit._elapsed_steps = steps * self._cfg.frame_skip  # no public name

    def step(self) -> None:
        """Apply the actions in the buffers; where an episode ends, begin the next.

        Raises:
            FailedError: naming the environment, whatever it raised.
        """
        buffers, i = self._buffers, 0
        try:
            for i, env in enumerate(self._envs):
                action = self._unbatch(buffers.action[i])
                observation, reward, terminated, truncated, _ = env.step(action)
                buffers.reward[i] = reward
                buffers.terminated[i] = terminated
                buffers.truncated[i] = truncated and not terminated
                if terminated or truncated:
                    buffers.final_observation[i] = self._flat(observation)
                    observation, _ = env.reset()
                buffers.observation[i] = self._flat(observation)
        except Exception as error:
            raise self._failure(i, "step", error) from error

    def draw(self, index: int, size: Size) -> np.ndarray:
        """Draw one of the environments, as `tasks.gymnasium.picture.draw`.

        Raises:
            FailedError: naming the environment, whatever it raised.
        """
        try:
            return draw(self._envs[index], size)
        except Exception as error:
            raise self._failure(index, "render", error) from error

    def generators(self) -> Generators:
        """Give the state of the random numbers of every environment."""
        states = (dict(env.unwrapped.np_random.bit_generator.state) for env in self._envs)
        return [s if s["bit_generator"] == _KNOWN_GENERATOR else None for s in states]

    def restore(self, states: Generators) -> None:
        """Go on with the random numbers of `generators`, in new episodes."""
        for env, state in zip(self._envs, states):
            if state is not None:
                env.unwrapped.np_random.bit_generator.state = state
        self.reset()

    def close(self) -> None:
        """Close the environments."""
        for env in self._envs:
            env.close()

    def _failure(self, index: int, verb: str, error: Exception) -> FailedError:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return FailedError(
            f"environment {self._first + index} of {self._cfg.env_id} failed in {verb}: {text}"
        )
