"""Arrays that processes share: one row per environment, no copies through pipes."""

from __future__ import annotations

import math
from multiprocessing.sharedctypes import RawArray
from typing import Any, Dict, NamedTuple, Tuple

import numpy as np

Memory = Dict[str, Any]
"""Field of `Buffers` -> shared bytes; it may be handed to a process that is being started."""


class Buffers(NamedTuple):
    """What goes into one control step and what comes out of it.

    Attributes:
        action: [N, A] in the environment's own units, or [N, 1] indices.
        observation: [N, O] to act on next.
        final_observation: [N, O] last one of the newest episode that ended.
        reward: [N] task units.
        terminated, truncated: [N] bool, as in `epo.envs.Step`.
        position: [N] int64; the first element of a chunk's rows says where it is, see
            `tasks.gymnasium.guard.Guard.at`.
    """

    action: np.ndarray
    observation: np.ndarray
    final_observation: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    position: np.ndarray

    def rows(self, start: int, end: int) -> Buffers:
        """Return views of the environments from `start` to before `end`."""
        return Buffers(*(array[start:end] for array in self))


class Layout(NamedTuple):
    """Sizes and types of the buffers.

    Attributes:
        num_envs: N.
        action_dim: A.
        action_dtype: of actions.
        observation_dim: O.
        observation_dtype: of observations.
    """

    num_envs: int
    action_dim: int
    action_dtype: np.dtype
    observation_dim: int
    observation_dtype: np.dtype

    def allocate(self) -> Memory:
        """Reserve zeroed memory, freed with the last process that holds it."""
        return {
            name: RawArray("b", max(1, math.prod(shape) * dtype.itemsize))
            for name, (shape, dtype) in self._arrays().items()
        }

    def view(self, memory: Memory) -> Buffers:
        """See the memory as arrays."""
        return Buffers(
            **{
                name: np.frombuffer(memory[name], dtype, math.prod(shape)).reshape(shape)
                for name, (shape, dtype) in self._arrays().items()
            }
        )

    def _arrays(self) -> Dict[str, Tuple[Tuple[int, ...], np.dtype]]:
        num_envs, observation = self.num_envs, (self.num_envs, self.observation_dim)
        return {
            "action": ((num_envs, self.action_dim), self.action_dtype),
            "observation": (observation, self.observation_dtype),
            "final_observation": (observation, self.observation_dtype),
            "reward": ((num_envs,), np.dtype(np.float64)),
            "terminated": ((num_envs,), np.dtype(np.bool_)),
            "truncated": ((num_envs,), np.dtype(np.bool_)),
            "position": ((num_envs,), np.dtype(np.int64)),
        }
