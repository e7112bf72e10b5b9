"""Observations and actions of others in the learner's words: flat rows, [-1, 1] or indices.

Spaces are read by what they offer (`low`, `high`, `n`, `nvec`), since mjlab and others
bring classes of their own.
"""

from __future__ import annotations

import math
from typing import Any, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from tasks.errors import check_choice, refuse

UNBOUNDED = 1e18
"""A bound beyond it, such as float32's largest number, is none."""
ACTOR_GROUPS = ("policy", "actor")
"""What the manager-based API calls the observation of the policy: Isaac Lab, mjlab."""

CRITIC_GROUPS = ("critic",)
"""What it calls the observation of the critic, in both."""


class Observations:
    """How an observation becomes rows [N, O + S]: what the policy sees, then the critic's state.

    Args:
        name: of the task, for messages.
        sample: an observation of all environments, as `reset` gives it: a tensor or an array, or
            a dictionary of them.
        space: of one observation, or None; whole numbers of a `Discrete` space become one-hot.
        groups: parts of a dictionary that the policy sees, in this order; empty: all.
        critic_groups: parts that make up the state; empty: there is none, S = 0.
        num_envs: N.
        device: where the rows are to be.

    Attributes:
        dim: O.
        state_parts: group -> its width in the state.
        image_shape: channels, height and width of an image of bytes, else None.
        is_numpy: observations are arrays.

    Raises:
        ValueError: if there is no such group, or an array that is not of N rows.
    """

    def __init__(
        self,
        name: str,
        sample: Any,
        space: Any,
        groups: Sequence[str],
        critic_groups: Sequence[str],
        num_envs: int,
        device: torch.device,
    ) -> None:
        self._device, self._num_envs = device, num_envs
        self._groups, self._critic_groups = list(groups), list(critic_groups)
        for setting, chosen in (
            ("task.observation_groups", self._groups),
            ("task.critic_groups", self._critic_groups),
        ):
            if chosen and not hasattr(sample, "keys"):
                refuse(setting, chosen, f"{name} shows one array, no groups; leave it out")
            for group in chosen:
                check_choice(setting, group, list(sample.keys()))
        self._num_choices = _choices(space)
        self.image_shape: Optional[Tuple[int, int, int]] = None
        self._to_channels_first = False
        parts = list(self._parts(sample))
        self.is_numpy = isinstance(parts[0], np.ndarray) if parts else False
        for part in parts:
            if not part.shape or part.shape[0] != num_envs:
                shape = list(part.shape)
                refuse("num_envs", num_envs, f"{name} shows {shape}; rows must be environments")
        if len(parts) == 1 and parts[0].ndim == 4 and "uint8" in str(parts[0].dtype):
            self._set_image(tuple(parts[0].shape[1:]))
        self.state_parts = {
            group: sum(self._row(part).shape[1] for part in _leaves(sample[group]))
            for group in self._critic_groups
        }
        self.dim = self.flat(sample).shape[1] - sum(self.state_parts.values())

    def flat(self, observation: Any) -> Tensor:
        """Return the rows [N, O + S]; a float32 tensor of one part on the device is not copied."""
        rows = [self._row(part) for part in self._parts(observation)]
        for group in self._critic_groups:
            rows += [self._row(part) for part in _leaves(observation[group])]
        return rows[0] if len(rows) == 1 else torch.cat(rows, dim=1)

    def _parts(self, observation: Any) -> Iterator[Any]:
        """Yield arrays in the order of groups, or of the dictionary."""
        if isinstance(observation, Mapping) or hasattr(observation, "keys"):
            top = self._groups if self._groups else list(observation.keys())
            for key in top:
                yield from _leaves(observation[key])
        else:
            yield from _leaves(observation)

    def _row(self, part: Any) -> Tensor:
        tensor = torch.as_tensor(part).to(self._device)
        if self._num_choices:
            return torch.nn.functional.one_hot(tensor.long(), self._num_choices).float()
        if self._to_channels_first and tensor.dim() == 4:
            tensor = tensor.permute(0, 3, 1, 2)
        return tensor.reshape(self._num_envs, -1).float()

    def _set_image(self, shape: Tuple[int, ...]) -> None:
        # Channels are the shorter end.
        self._to_channels_first = shape[-1] < shape[0]
        channels, height, width = shape if not self._to_channels_first else (shape[2], *shape[:2])
        self.image_shape = channels, height, width


class Actions:
    """How the learner's actions [N, A] become the environments'.

    Args:
        name: of the task, for messages.
        space: of one action.
        unbounded_range: what [-1, 1] is scaled to where a component has not two bounds.
        device: of the learner's actions.
        is_numpy: the environments take arrays.

    Attributes:
        dim: A.
        choices: of every component of a discrete action; else empty.

    Raises:
        ValueError: if the space is of another kind.
    """

    def __init__(
        self, name: str, space: Any, unbounded_range: float, device: torch.device, is_numpy: bool
    ) -> None:
        self.choices: Tuple[int, ...] = ()
        self._is_numpy = is_numpy
        self._dtype = getattr(space, "dtype", None)
        self._shape: Tuple[int, ...] = tuple(getattr(space, "shape", None) or ())
        if hasattr(space, "n") and not hasattr(space, "nvec"):
            self._set_choices([int(space.n)], [int(getattr(space, "start", 0))], device)
            self._shape = ()
        elif hasattr(space, "nvec"):
            num = np.asarray(space.nvec).reshape(-1)
            first = np.asarray(getattr(space, "start", np.zeros_like(num))).reshape(-1)
            self._set_choices(num.tolist(), first.tolist(), device)
        elif hasattr(space, "low") and hasattr(space, "high"):
            size = (math.prod(self._shape),)
            low, high = (_bounds(value, size) for value in (space.low, space.high))
            is_bounded = (low > -UNBOUNDED) & (high < UNBOUNDED)
            low = np.where(is_bounded, low, -unbounded_range)
            high = np.where(is_bounded, high, unbounded_range)
            self._middle, self._half = (
                torch.tensor(x, dtype=torch.float32, device=device)
                for x in ((low + high) / 2.0, (high - low) / 2.0)
            )
        else:
            kind = f"{type(space).__module__}.{type(space).__qualname__}"
            refuse("task.make", name, f"its actions are a {kind}; use a Box or Discrete space")
        self.dim = len(self.choices) or math.prod(self._shape)
        if not self.dim:
            refuse("task.make", name, "its actions are empty; there is nothing to choose")

    def to_env(self, action: Tensor) -> Any:
        """Turn actions [N, A], numbers or indices, into what `step` gets."""
        if self.choices:
            last = self._num - 1
            chosen = torch.minimum(action.long().clamp(min=0), last) + self._first
            action = chosen.view(len(action), *self._shape)
        else:
            action = self._middle + self._half * action.clamp(-1.0, 1.0)
            action = action.view(len(action), *self._shape)
        if not self._is_numpy:
            return action
        return action.cpu().numpy().astype(self._dtype or np.float32, copy=False)

    def _set_choices(self, num: List[int], first: List[int], device: torch.device) -> None:
        self.choices = tuple(num)
        self._num = torch.tensor(num, device=device)
        self._first = torch.tensor(first, device=device)


def critic_groups(observation: Any, given: Sequence[str]) -> Sequence[str]:
    """Return the groups of the manager-based API that the critic sees."""
    if given or not hasattr(observation, "keys"):
        return given
    return [group for group in CRITIC_GROUPS if group in observation]


def actor_groups(observation: Any, given: Sequence[str]) -> Sequence[str]:
    """Return the groups of the manager-based API that the policy sees."""
    if given or not hasattr(observation, "keys"):
        return given
    return [group for group in ACTOR_GROUPS if group in observation][:1]


def _leaves(node: Any) -> Iterator[Any]:
    if hasattr(node, "keys"):
        for key in node.keys():  # noqa: SIM118 (of a TensorDict, too)
            yield from _leaves(node[key])
    elif isinstance(node, tuple):
        for item in node:
            yield from _leaves(item)
    else:
        yield node


def _choices(space: Any) -> int:
    """Return n of a `Discrete` space of observations; 0: another space."""
    return int(space.n) if hasattr(space, "n") and not hasattr(space, "nvec") else 0


def _bounds(value: Any, size: Tuple[int]) -> np.ndarray:
    array = value.cpu().numpy() if isinstance(value, Tensor) else np.asarray(value, np.float64)
    return np.broadcast_to(array.reshape(-1) if array.ndim else array, size).astype(np.float64)
