"""What a task shows and takes, as far as a learner must fit it."""

from __future__ import annotations

from typing import NamedTuple, Optional, Tuple


class Interface(NamedTuple):
    """What a learner must fit; the same as in the `EnvSpec` of the environments.

    Attributes:
        name: what messages call the task.
        choices: of every component of a discrete action; empty: actions are continuous.
        image_shape: channels, height and width of an observation; None: it is a vector.
        state_dim: width of what the critic alone may see; 0: nothing.
    """

    name: str
    choices: Tuple[int, ...]
    image_shape: Optional[Tuple[int, int, int]]
    state_dim: int = 0
