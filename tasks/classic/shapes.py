"""A picture as data: what is where, in metres, in which colour, drawn back to front."""

from __future__ import annotations

import math
from typing import List, NamedTuple, Sequence, Tuple, Union

Point = Tuple[float, float]
"""x to the right and y up, m."""
Color = Tuple[int, int, int]

BODY: Color = (43, 108, 196)
"""What moves: blue, as the objects of the other tasks."""
JOINT: Color = (24, 62, 122)
GOAL: Color = (72, 170, 96)
"""Where to go: green, as there."""
WALL: Color = (92, 98, 106)
RAIL: Color = (150, 156, 164)
GROUND: Color = (205, 210, 216)


class Line(NamedTuple):
    """A polyline with round ends."""

    points: Sequence[Point]
    width_m: float
    color: Color


class Disc(NamedTuple):
    """A filled circle."""

    center: Point
    radius_m: float
    color: Color


class Area(NamedTuple):
    """A filled polygon."""

    points: Sequence[Point]
    color: Color


class Picture(NamedTuple):
    """What is seen.

    Attributes:
        low, high: corners of what must be inside the frame, m.
        shapes: back to front.
    """

    low: Point
    high: Point
    shapes: List[Union[Line, Disc, Area]]


def box(low: Point, high: Point, color: Color) -> Area:
    """Return an upright rectangle."""
    return Area((low, (high[0], low[1]), high, (low[0], high[1])), color)


def chain(base: Point, angles: Sequence[float], lengths: Sequence[float]) -> List[Point]:
    """Return the joints of links from `base` on; angles are from the x axis, rad."""
    points = [base]
    for angle, length in zip(angles, lengths):
        x, y = points[-1]
        points.append((x + length * math.cos(angle), y + length * math.sin(angle)))
    return points


def limbs(points: Sequence[Point], width_m: float) -> List[Union[Line, Disc, Area]]:
    """Draw links between `points`, with a joint at the beginning of each."""
    joints = [Disc(point, 0.5 * width_m, JOINT) for point in points[:-1]]
    return [Line(points, width_m, BODY), *joints]
