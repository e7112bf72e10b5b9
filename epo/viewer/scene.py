"""The contract between the live viewer and a task: what is where, and what may be done to it."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Protocol, Sequence, Tuple

import numpy as np

Vector = Tuple[float, float, float]
KINDS = ("box", "sphere", "ellipsoid", "cylinder", "capsule", "plane", "picture")


class Shape(NamedTuple):
    """What a part looks like; equal shapes are sent once.

    Attributes:
        kind: one of `KINDS`.
        size: half edges of a box, m; radius of a sphere; half axes of an ellipsoid; radius and half
            length (of a capsule, without its caps) along z; half edges of a plane (x, y); width and
            height of a picture, in x and y, seen from above.
        color: red, green, blue, 0 to 255.
        opacity: 1 hides what is behind.
    """

    kind: str
    size: Tuple[float, ...]
    color: Tuple[int, int, int] = (150, 156, 164)
    opacity: float = 1.0


class Part(NamedTuple):
    """A shape and where it is.

    Attributes:
        shape: what it looks like.
        position: [3] m, world frame.
        wxyz: [4] orientation.
        picture: [height, width, 3] uint8, of a picture alone.
    """

    shape: Shape
    position: Any
    wxyz: Any
    picture: np.ndarray = np.zeros((0, 0, 3), dtype=np.uint8)


class Camera(NamedTuple):
    """From where a world is first seen, m; z is up unless `up` says otherwise."""

    eye: Vector
    aim: Vector
    up: Vector = (0.0, 0.0, 1.0)


class Scene(Protocol):
    """The worlds of an environment, as a viewer sees them.

    Attributes:
        camera: the first view of world 0.
        spacing_m: distance of neighbouring worlds that are shown together.
        controls: labels of what `act` can do, such as `push`; may be empty.
        can_place: whether `place` works.
    """

    camera: Camera
    spacing_m: float
    controls: Sequence[str]
    can_place: bool

    def parts(self, world: int) -> List[Part]:
        """Return what is in a world now; always as many parts, in the same order."""
        ...

    def act(self, control: str, world: int) -> None:
        """Do one of `controls` to a world."""
        ...

    def handle(self, world: int) -> Vector:
        """Return where the thing is that `place` moves, m."""
        ...

    def place(self, world: int, position: Vector) -> None:
        """Put it somewhere else, at rest, m."""
        ...

    def terms(self, world: int) -> Dict[str, float]:
        """Return the terms of the last reward by name; empty where a task has none."""
        ...

    def close(self) -> None:
        """Free what is drawn with."""
        ...
