"""The bucket of the throw task: twelve staves around a floor, made of boxes only.

Source: IsaacGymEnvs `assets/urdf/objects/bucket.urdf`, an open frustum with twelve sides.
Deviates: boxes instead of convex hulls; neighbouring staves overlap by a few millimetres.
"""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

from math import atan, cos, hypot, pi, sin, tan
from typing import NamedTuple

import mujoco

from tasks.allegro_kuka.robot_model import STATIC_BIT, quat_from_rpy

GOAL_HEIGHT_M = 0.05
"""Height of the goal point, which is the bucket's frame here, above the underside, m."""
BUCKET_START = (-0.6, -0.2, 0.45 + GOAL_HEIGHT_M)
"""Goal point before the first goal, m."""
HEIGHT_M, FLOOR_M = 0.1977, 0.0099
"""Height of the rim and of the floor's upper face above the underside, m."""
INNER_M, OUTER_M = (0.0705, 0.1034), (0.082, 0.120)
"""Distance of the corners from the axis: inside at floor and rim, outside at underside and
rim, m."""

_SIDES = 12
_AXIS_Y_M = -0.002
"""The original's axis is off the frame by this."""
_RGBA = (0.16, 0.55, 0.36, 1.0)


class _Box(NamedTuple):
    """A box that looks away from the axis; metres, rad."""

    distance: float
    """Of the centre from the axis."""
    height: float
    """Of the centre above the underside."""
    tilt: float
    """Outward."""
    half: tuple[float, float, float]
    """Outward, along the side, up."""


def add_bucket(body: mujoco.MjsBody) -> None:
    """Add the bucket's geoms to `body`, whose frame is the goal point; the first is `goal`."""
    stave, floor = _stave(), _floor()
    for side in range(_SIDES):
        _add_box(body, stave, pi / _SIDES * (2 * side + 1), name="" if side else "goal")
    for third in range(3):
        _add_box(body, floor, pi / _SIDES + pi / 3 * third)


def _to_side(corner_m: float) -> float:
    """Return the distance of the sides from the axis if that of the corners is `corner_m`."""
    return corner_m * cos(pi / _SIDES)


def _stave() -> _Box:
    """Fit a box to one side of the wall."""
    (floor, inner_rim), (bottom, outer_rim) = (map(_to_side, ends) for ends in (INNER_M, OUTER_M))
    # The inner face down to the underside.
    inner_bottom = floor - (inner_rim - floor) * FLOOR_M / (HEIGHT_M - FLOOR_M)
    low, high = (inner_bottom + bottom) / 2, (inner_rim + outer_rim) / 2
    tilt = atan((high - low) / HEIGHT_M)
    thickness = (bottom - inner_bottom + outer_rim - inner_rim) / 2 * cos(tilt)
    length, width = hypot(HEIGHT_M, high - low), 2 * high * tan(pi / _SIDES)
    half = (thickness / 2, width / 2, length / 2)
    return _Box((low + high) / 2, HEIGHT_M / 2, tilt, half)


def _floor() -> _Box:
    """Return one of three rectangles, 60 degrees apart, that cover a hexagon.

    Every second side of the wall stands on a side of it, the others on its corners.
    """
    half = _to_side(INNER_M[0])
    return _Box(0.0, FLOOR_M / 2, 0.0, (half, half * tan(pi / 6), FLOOR_M / 2))


def _add_box(body: mujoco.MjsBody, box: _Box, angle: float, name: str = "") -> None:
    """Add `box`, turned about the axis by `angle`, rad; it blocks robot and object."""
    body.add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=(
            box.distance * cos(angle),
            box.distance * sin(angle) + _AXIS_Y_M,
            box.height - GOAL_HEIGHT_M,
        ),
        quat=quat_from_rpy((0.0, box.tilt, angle)),
        size=box.half,
        rgba=_RGBA,
        mass=0,
        contype=STATIC_BIT,
        conaffinity=0,
    )
