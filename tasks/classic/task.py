"""What a classic task must say: pure functions of a state, and how a state looks."""

from __future__ import annotations

from typing import NamedTuple, Protocol, Sequence

import torch
from torch import Tensor

from tasks.classic.shapes import Picture


class Outcome(NamedTuple):
    """One control step of all environments.

    Attributes:
        state: [S, N] afterwards.
        reward: [N] task units.
        terminated: [N] bool, the episode ended for good.
    """

    state: Tensor
    reward: Tensor
    terminated: Tensor


class Task(Protocol):
    """Dynamics, reward and observation. It owns no state: that is a tensor [S, N].

    A state has a row per quantity, so that every quantity is contiguous. Everything works in the
    dtype and on the device of the state that it is given.

    Attributes:
        observation_dim: O.
        action_dim: A, components in [-1, 1], or the index of a choice.
        num_choices: of a discrete action; 0: actions are continuous.
        num_random: R, random numbers that the start of an episode takes.
        idle_action: component of the action that does nothing.
        control_dt_s: duration of a control step, s.
        success_metric: what the metric is called that tells whether an episode was terminated;
            empty: that is no success.
    """

    observation_dim: int
    action_dim: int
    num_choices: int
    num_random: int
    idle_action: float
    control_dt_s: float
    success_metric: str

    def begin(self, uniform: Tensor) -> Tensor:
        """Return first states [S, N] from numbers [R, N] that are uniform in [0, 1)."""
        ...

    def advance(self, state: Tensor, action: Tensor) -> Outcome:
        """Apply actions [A, N], which are in their range, to states [S, N]."""
        ...

    def observe(self, state: Tensor) -> Tensor:
        """Return the observations [N, O] of states [S, N]."""
        ...

    def picture(self, state: Sequence[float]) -> Picture:
        """Describe how one state [S] looks."""
        ...


def advance(task: Task, state: Tensor, action: Tensor, num_steps: int) -> Outcome:
    """Apply actions [A, N] for some steps of a task; what terminates stays as it is.

    Returns:
        State [S, N] afterwards, sum of the rewards [N], whether any step terminated [N].
    """
    state, reward, terminated = task.advance(state, action)
    for _ in range(num_steps - 1):
        after = task.advance(state, action)
        state = torch.where(terminated, state, after.state)
        reward = reward + after.reward.masked_fill(terminated, 0.0)
        terminated = terminated | after.terminated
    return Outcome(state, reward, terminated)


def distance(point: Tensor, other: Tensor) -> Tensor:
    """Return the distances [N] between points of the plane, [2, N] each.

    Several times faster on a CPU than a norm over the first of two dimensions.
    """
    x, y = point - other
    return torch.addcmul(x * x, y, y).sqrt_()
