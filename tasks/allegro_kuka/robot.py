"""The KUKA iiwa7 arm with an Allegro right hand: kinematics, limits, masses and shapes.

Source: IsaacGymEnvs, `kuka_allegro_touch_sensor.urdf` (kinematics, limits, masses); boxes and
capsules are our fits to its convex hulls.
Deviates: three finger inertias of the file are not physical; here they are those of a solid box.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Tuple, Union

Vector = Tuple[float, ...]

FINGERS = ("index", "middle", "ring", "thumb")
ARM_JOINTS = tuple(f"iiwa7_joint_{i}" for i in range(1, 8))
HAND_JOINTS = tuple(f"{finger}_joint_{i}" for finger in FINGERS for i in range(4))
JOINT_NAMES = ARM_JOINTS + HAND_JOINTS
"""Order of the 23 joints of one robot: arm, index, middle, ring, thumb."""

HOME_ARM: dict[int, Vector] = {
    1: (-1.571, 1.571, 0.0, 1.376, 0.0, 1.485, 2.358),
    2: (-1.571, 1.571, 0.0, 1.6, 0.0, 1.485, 2.358),
}
"""Default arm posture by number of arms, rad (IsaacGymEnvs, `allegro_kuka_base.py`)."""
HOME_HAND: Vector = (0.0,) * 16
"""Default hand posture, rad; thumb_joint_0 = 0 lies below its lower limit, as in the original."""
AT_OBJECT_ARM: Vector = (-1.596, 1.621, 0.019, 1.296, 0.023, 1.407, 2.330)
AT_OBJECT_HAND: Vector = (
    *(-0.06, 0.87, 0.04, 0.21),
    *(0.0, 0.87, 0.04, 0.21),
    *(0.06, 0.87, 0.04, 0.21),
    *(1.53, 0.33, 0.22, 0.12),
)
"""Open hand around a box of 5 cm height on the one-arm table, rad: where a grasp begins (ours)."""


@dataclass(frozen=True)
class Box:
    """Collision box in its link's frame; metres."""

    centre: Vector
    half: Vector


@dataclass(frozen=True)
class Capsule:
    """Collision capsule between two points of its link's frame; metres."""

    start: Vector
    end: Vector
    radius: float


@dataclass(frozen=True)
class Link:
    """One moving link: its frame in the parent's, its joint about z, its mass and shape."""

    name: str
    parent: str
    xyz: Vector
    rpy: Vector
    """Rotations about the fixed axes x, y, z in turn, rad (URDF convention)."""
    limit: Vector
    mass: float
    com: Vector
    inertia: Vector
    """About the centre of mass, kg m^2: xx yy zz, or xx yy zz xy xz yz."""
    shape: Union[Box, Capsule]


_HALF_PI = pi / 2
_WIDE, _NARROW, _LAST = 2.96705972839, 2.09439510239, 3.05432619099
_ELBOW = Capsule((0, 0, 0.035), (0, 0.116, 0.005), 0.075)

BASE_INERTIAL = (5.0, (-0.1, 0.0, 0.07), (0.05, 0.06, 0.03))
"""Mass, centre of mass and inertia of the fixed base, kg, m, kg m^2."""
PALM = "iiwa7_link_7"
"""The body that carries the palm: link 7, end effector, mount and palm merged."""

# fmt: off
ARM = (
    Link("iiwa7_link_1", "iiwa7_link_0", (0, 0, 0.15), (0, 0, 0), (-_WIDE, _WIDE),
         3.4525, (0, -0.03, 0.12), (0.02183, 0.007703, 0.02083, 0, 0, -0.003887),
         Capsule((0, 0, 0.065), (0, -0.045, 0.19), 0.075)),
    Link("iiwa7_link_2", "iiwa7_link_1", (0, 0, 0.19), (_HALF_PI, 0, pi), (-_NARROW, _NARROW),
         3.4821, (0.0003, 0.059, 0.042), (0.02076, 0.02179, 0.00779, 0, -0.003626, 0), _ELBOW),
    Link("iiwa7_link_3", "iiwa7_link_2", (0, 0.21, 0), (_HALF_PI, 0, pi), (-_WIDE, _WIDE),
         4.05623, (0, 0.03, 0.13), (0.03204, 0.00972, 0.03042, 0, 0, 0.006227),
         Capsule((0, 0, 0.04), (0, 0.03, 0.185), 0.075)),
    Link("iiwa7_link_4", "iiwa7_link_3", (0, 0, 0.19), (_HALF_PI, 0, 0), (-_NARROW, _NARROW),
         3.4822, (0, 0.067, 0.034), (0.02178, 0.02075, 0.007785, 0, 0, -0.003625), _ELBOW),
    Link("iiwa7_link_5", "iiwa7_link_4", (0, 0.21, 0), (_HALF_PI, 0, pi), (-_WIDE, _WIDE),
         2.1633, (0.0001, 0.021, 0.076), (0.01287, 0.005708, 0.01112, 0, 0, -0.003946),
         Capsule((0, 0.005, 0.03), (0, 0.04, 0.18), 0.064)),
    Link("iiwa7_link_6", "iiwa7_link_5", (0, 0.0607, 0.19), (_HALF_PI, 0, 0), (-_NARROW, _NARROW),
         2.3466, (0, 0.0006, 0.0004), (0.006509, 0.006259, 0.004527, 0, 0, 0.00031891),
         Capsule((0, -0.015, 0.055), (0, 0.018, 0.062), 0.068)),
    Link(PALM, "iiwa7_link_6", (0, 0.081, 0.0607), (_HALF_PI, 0, pi), (-_LAST, _LAST),
         3.6944, (0.00092, -0.00232, 0.03690),
         (0.022555, 0.022433, 0.004254, 0.000654, -0.000393, 0.000985),
         Capsule((0, 0, 0.03), (0, 0, 0.06), 0.05)),
)

_FULL, _HALF = 3.1415, 1.57075
"""The file's own truncated values, pi and pi/2 in the frames of the fingers."""

HAND_XYZ, HAND_RPY = (0.008219, -0.02063, 0.15186), (0.0, -1.5708, 0.785398)
"""Frame of `palm_link` in link 7; fingers point along its x and curl towards its z."""
PALM_BOX = Box((-0.006, 0.0088, -0.0492), (0.047, 0.056, 0.0485))

_FLEXION = (-0.279244444444, 1.727825)
_SPLAY = (-0.558488888889, 0.558488888889)
_KNUCKLE_INERTIA = (5.1458e-5, 5.1458e-5, 6.125e-5)


def _finger(name: str, xyz: Vector, yaw: float) -> tuple[Link, ...]:
    """Return the four links of a finger that starts at `xyz` and splays by `yaw` in the palm."""
    link = [f"{name}_link_{i}" for i in range(4)]
    return (
        Link(link[0], "palm_link", xyz, (_FULL, -_HALF, yaw), _SPLAY, 0.005, (0, 0, 0),
             _KNUCKLE_INERTIA, Box((0, 0, -0.005), (0.0098, 0.013, 0.0105))),
        Link(link[1], link[0], (0, 0, 0), (_FULL, -_HALF, _HALF), _FLEXION, 0.125164,
             (0.027, 0, 0), (1.40e-5, 5.91e-5, 5.71e-5),
             Box((0.027, -0.0025, 0), (0.035, 0.012, 0.0138))),
        Link(link[2], link[1], (0.054, 0, 0), (0, 0, 0), _FLEXION, 0.131691,
             (0.039, 0, 0), (1.39e-5, 3.77e-5, 3.56e-5),
             Box((0.0207, -0.0024, 0), (0.026, 0.0116, 0.0135))),
        Link(link[3], link[2], (0.0384, 0, 0), (0, 0, 0), _FLEXION, 0.0211922,
             (0.029, 0, 0), (1.79e-6, 4.20e-6, 3.53e-6),
             Box((0.0145, -0.0008, 0), (0.0205, 0.0089, 0.0132))),
    )


_SPLAY_YAW = 0.0872638888889
THUMB = (
    Link("thumb_link_0", "palm_link", (-0.0367482, -0.0081281, -0.0295),
         (-_HALF, -_HALF, 1.48348611111), (0.279244444444, 1.57075), 0.1, (0, 0, 0),
         _KNUCKLE_INERTIA, Box((0.0085, -0.014, -0.0103), (0.016, 0.021, 0.020))),
    Link("thumb_link_1", "thumb_link_0", (0.005, 0, 0), (_HALF, 0, 0),
         (-0.331602777778, 1.15188333333), 0.1, (0, 0, 0), _KNUCKLE_INERTIA,
         Box((0, 0.0005, 0.0503), (0.013, 0.0098, 0.0107))),
    Link("thumb_link_2", "thumb_link_1", (0, 0, 0.0554), (_FULL, -_HALF, 0), _FLEXION,
         0.1, (0, 0, 0), _KNUCKLE_INERTIA, Box((0.0235, -0.0024, 0), (0.032, 0.0116, 0.0135))),
    Link("thumb_link_3", "thumb_link_2", (0.0514, 0, 0), (0, 0, 0),
         (-0.279244444444, 1.76273055556), 0.1, (0, 0, 0), _KNUCKLE_INERTIA,
         Box((0.020, -0.0017, 0), (0.029, 0.011, 0.0134))),
)
HAND = (
    *_finger("index", (0.0514302, -0.03632, -0.0113), -_SPLAY_YAW),
    *_finger("middle", (0.0537375, 0.0087771, -0.0113), 0.0),
    *_finger("ring", (0.0514302, 0.0538749, -0.0113), _SPLAY_YAW),
    *THUMB,
)
# fmt: on

SITES = ("palm", *(f"{finger}_tip" for finger in FINGERS))
"""Frames the task observes, per robot: body `PALM`, then the last link of each finger."""
