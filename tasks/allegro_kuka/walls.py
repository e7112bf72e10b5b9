"""What stands between two arms: a movable partition, a wall with a hole, or a barrier.

Source: EPO paper (arXiv 2503.19037), section 5.1, for the three kinds; sizes of the hole from
YifanSu1301/EPO, `allegro_kuka_two_arms_reorientation.py`. Sizes and mass of partition and
barrier are not published: the partition is the lower box of the hole, the barrier the hole
closed (ours).
"""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

import mujoco

from tasks.allegro_kuka.robot_model import STATIC_BIT

HALF_THICKNESS_M, HALF_WIDTH_M = 0.025, 0.2
"""Half sizes of every wall along x and y, m; beyond |y| = 0.2 the way is open."""
FIXED: dict[str, tuple[tuple[float, float], ...]] = {
    "hole": ((0.5, 0.8), (1.0, 2.0)),
    "barrier": ((0.5, 2.0),),
}
"""Lower and upper end of the immovable boxes, m; they are sunk 3 cm into the table."""
PARTITION_START = (0.0, 0.0, 0.681)
"""Centre of the partition, upright 1 mm above the table, m."""
PARTITION_HALF_HEIGHT_M = 0.15
PARTITION_MASS = 0.5
"""Mass of the partition, kg."""

_FIXED_RGBA = (0.45, 0.50, 0.58, 0.5)
_PARTITION_RGBA = (0.80, 0.66, 0.42, 1.0)


def add_wall(spec: mujoco.MjSpec, wall: str) -> None:
    """Add the wall that `task.wall` names to the scene; `none` adds nothing.

    Raises:
        ValueError: for an unknown wall.
    """
    if wall not in ("none", "partition", *FIXED):
        choices = ", ".join(("none", "partition", *FIXED))
        raise ValueError(f"wall={wall!r}: choose one of {choices}")
    if wall == "partition":
        _add_partition(spec)
    for lower, upper in FIXED.get(wall, ()):
        spec.worldbody.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX,
            pos=(0.0, 0.0, (lower + upper) / 2),
            size=(HALF_THICKNESS_M, HALF_WIDTH_M, (upper - lower) / 2),
            rgba=_FIXED_RGBA,
            contype=STATIC_BIT,
            conaffinity=0,
        )


def _add_partition(spec: mujoco.MjSpec) -> None:
    """Add the free box `wall`: for robots and object a wall, and itself stopped by walls."""
    body = spec.worldbody.add_body(name="wall", pos=PARTITION_START)
    body.add_freejoint(name="wall")
    body.add_geom(
        name="wall",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=(HALF_THICKNESS_M, HALF_WIDTH_M, PARTITION_HALF_HEIGHT_M),
        mass=PARTITION_MASS,
        rgba=_PARTITION_RGBA,
        contype=STATIC_BIT,
        conaffinity=STATIC_BIT,
    )
