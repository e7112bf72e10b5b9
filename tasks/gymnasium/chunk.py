"""Some of the environments, stepped one after the other: in this process or in a worker."""

from __future__ import annotations

from typing import Iterator, List, Optional, Sequence

import numpy as np
from gymnasium import Env

from tasks.gymnasium.buffers import Buffers
from tasks.gymnasium.config import GymnasiumCfg
from tasks.gymnasium.environments import build, close, time_limit
from tasks.gymnasium.generators import Generators, read_generator, set_generator
from tasks.gymnasium.guard import (
    CONSTRUCTION,
    GENERATOR,
    RENDER,
    RESET,
    STEP,
    FailedError,
    Guard,
    WrongValueError,
)
from tasks.gymnasium.picture import Size, draw
from tasks.gymnasium.spaces import Actions, Observations
from tasks.gymnasium.values import flag, number


class Chunk:
    """The environments whose rows are in `buffers`.

    It does what Gymnasium's `SyncVectorEnv` does with same-step resets, but straight into the
    buffers, and it says which environment failed.

    Args:
        cfg: settings of the task.
        buffers: rows of these environments, at least one.
        first: index of the first of them in the task, for messages.

    Raises:
        FailedError: here and in all methods but `close`: naming the environment that raised
            whatever it was, or did not answer.
    """

    def __init__(self, cfg: GymnasiumCfg, buffers: Buffers, first: int) -> None:
        self._buffers, self._frame_skip = buffers, cfg.frame_skip
        self._guard = guard = Guard(cfg, first, buffers.position)
        self._envs: List[Env] = []
        try:
            with guard(CONSTRUCTION):
                for i in range(len(buffers.reward)):
                    guard.at(i, CONSTRUCTION)
                    self._envs.append(build(cfg))
                self._write = Observations(cfg.env_id, self._envs[0].observation_space).write
                self._unbatch = Actions(cfg.env_id, self._envs[0].action_space).unbatch
        except FailedError:
            self.close()
            raise

    def reset(self, seeds: Optional[Sequence[int]] = None) -> None:
        """Begin a new episode everywhere; with `seeds`, with new random numbers."""
        with self._guard(RESET):
            for i, env in enumerate(self._envs):
                self._guard.at(i, RESET)
                observation, _ = env.reset(seed=None if seeds is None else seeds[i])
                self._write(observation, self._buffers.observation[i])

    def set_clocks(self, elapsed: Sequence[int]) -> None:
        """Let the time limits of the present episodes be over earlier.

        Args:
            elapsed: control steps that count as done, per environment.
        """
        with self._guard(RESET):
            for env, steps in zip(self._each(RESET), elapsed):
                limit = time_limit(env)
                if limit is None:
                    raise WrongValueError("there is no time limit")
                limit._elapsed_steps = steps * self._frame_skip  # no public name

    def step(self) -> None:
        """Apply the actions in the buffers; where an episode ends, begin the next."""
        buffers, guard, write = self._buffers, self._guard, self._write
        with guard(STEP):
            for i, env in enumerate(self._envs):
                guard.at(i, STEP)
                action = self._unbatch(buffers.action[i])
                observation, reward, terminated, truncated, _ = env.step(action)
                buffers.reward[i] = number("the reward", reward)
                is_end, is_cut = flag("terminated", terminated), flag("truncated", truncated)
                buffers.terminated[i] = is_end
                buffers.truncated[i] = is_cut and not is_end
                if is_end or is_cut:
                    write(observation, buffers.final_observation[i])
                    guard.at(i, RESET)
                    observation, _ = env.reset()
                write(observation, buffers.observation[i])

    def draw(self, index: int, size: Size) -> np.ndarray:
        """Draw one of the environments, as `tasks.gymnasium.picture.draw`."""
        with self._guard(RENDER):
            self._guard.at(index, RENDER)
            return draw(self._envs[index], size)

    def generators(self) -> Generators:
        """Return the state of the random numbers of every environment."""
        with self._guard(GENERATOR):
            return [read_generator(env) for env in self._each(GENERATOR)]

    def restore(self, states: Generators) -> None:
        """Go on with the random numbers of `generators`, in new episodes."""
        with self._guard(GENERATOR):
            for env, state in zip(self._each(GENERATOR), states):
                set_generator(env, state)
        self.reset()

    def close(self) -> None:
        """Close the environments; what fails is a warning."""
        close(self._envs, self._guard)
        self._envs = []

    def _each(self, phase: int) -> Iterator[Env]:
        for i, env in enumerate(self._envs):
            self._guard.at(i, phase)
            yield env
