"""What the numbers of observations and actions are, for people who drive a robot with them."""

from __future__ import annotations

from typing import List, NamedTuple


class Part(NamedTuple):
    """A range of a vector.

    Attributes:
        name: of the part.
        start, stop: range, `stop` not included.
        meaning: content with its unit.
    """

    name: str
    start: int
    stop: int
    meaning: str


class Description(NamedTuple):
    """Layout of a task's vectors.

    Attributes:
        observation: parts of the observation, in their order.
        action: parts of the action.
        notes: what else a controller must do.
    """

    observation: List[Part]
    action: List[Part]
    notes: List[str]


def plain(observation_dim: int, action_dim: int) -> Description:
    """Describe vectors of which nothing more is known: one part each.

    Args:
        observation_dim: O.
        action_dim: A.
    """
    return Description(
        [Part("observation", 0, observation_dim, "task units, as the environment gives it")],
        [Part("action", 0, action_dim, "[-1, 1] of the range of the action, or index of a choice")],
        [],
    )
