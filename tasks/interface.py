"""What a task shows and takes, as far as a learner must fit it."""

from __future__ import annotations

from typing import NamedTuple, Optional, Tuple


class Interface(NamedTuple):
    """What a learner must fit; the same as in the `EnvSpec` of the environments.

    Attributes:
        name: what messages call the task.
        num_choices: choices of a discrete action; 0: actions are continuous.
        image_shape: channels, height and width of an observation; None: it is a vector.
    """

    name: str
    num_choices: int
    image_shape: Optional[Tuple[int, int, int]]
