"""How batched environments of one API are reset and stepped."""

from __future__ import annotations

from typing import Any, Dict, Mapping, NamedTuple, Optional, Protocol, Tuple, runtime_checkable

import torch
from torch import Tensor

from tasks.vector.spaces import Actions


class Moment(NamedTuple):
    """Result of a step of all environments.

    Attributes:
        observation: [N, O + S] to act on next; what the critic alone may see follows.
        reward: [N] float32.
        terminated, truncated: [N] bool; both may be set.
        final_observation: [N, O + S] last observation of the episodes that ended, likewise.
        ignored: [N] bool, the action had no effect, because the step began an episode; None: no
            environment does that.
        success: [N] bool; None: the environments do not tell.
        log: numbers of the whole task, those that this step told.
    """

    observation: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    final_observation: Tensor
    ignored: Optional[Tensor]
    success: Optional[Tensor]
    log: Mapping[str, Any]


class Dialect(Protocol):
    """One API; built with the environments, which it resets once with the seed.

    Attributes:
        env: the environments.
        name: of the task.
        num_envs: N.
        device: where all tensors live.
        observation_dim, image_shape, state_parts: as in `EnvSpec`.
        actions: how actions become theirs.
        control_dt_s: duration of a step, s.
        first: [N, O + S] observation of the reset at the start.
        ignores_actions: `Moment.ignored` is given.
    """

    env: Any
    name: str
    num_envs: int
    device: torch.device
    observation_dim: int
    image_shape: Optional[Tuple[int, int, int]]
    state_parts: Dict[str, int]
    actions: Actions
    control_dt_s: float
    first: Tensor
    ignores_actions: bool

    def reset(self) -> Tensor:
        """Begin a new episode everywhere and return the observation [N, O + S]."""
        ...

    def step(self, action: Any) -> Moment:
        """Step with actions of the environments' own."""
        ...

    def state_dict(self) -> Dict[str, Any]:
        """Return what can be saved of them."""
        ...

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Take over what was saved, before a reset."""
        ...


@runtime_checkable
class ClockedDialect(Dialect, Protocol):
    """An API whose environments count their control steps, and let others set the count."""

    @property
    def time_limit(self) -> int:
        """H, control steps of an episode that nothing else ends."""
        ...

    def clock(self) -> Tensor:
        """Return the control steps [N] of the present episodes."""
        ...

    def set_clock(self, elapsed: Tensor) -> None:
        """Let the present episodes be as old as `elapsed` [N] int64 says."""
        ...


def as_tensor(value: Any, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return a number per environment on the device; nothing is copied that need not be."""
    return torch.as_tensor(value).to(device, dtype)
