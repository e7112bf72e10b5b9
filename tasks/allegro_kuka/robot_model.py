"""The robot as MuJoCo bodies: links, drives, collision classes and observed sites."""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

import mujoco
import numpy as np

from tasks.allegro_kuka.physics import PhysicsCfg
from tasks.allegro_kuka.robot import (
    ARM,
    BASE_INERTIAL,
    FINGERS,
    HAND,
    HAND_RPY,
    HAND_XYZ,
    PALM,
    PALM_BOX,
    SITES,
    Box,
    Capsule,
    Link,
    Vector,
)

STATIC_BIT, OBJECT_BIT = 1, 2
"""Collision classes (contype bits): table, floor, walls; the manipulated object."""

_COLOURS = {
    "base": (0.25, 0.26, 0.28, 1.0),
    "arm": (0.86, 0.87, 0.88, 1.0),
    "joint": (0.95, 0.52, 0.15, 1.0),
    "hand": (0.30, 0.32, 0.35, 1.0),
    "tip": (0.93, 0.92, 0.88, 1.0),
}
_ORANGE = ("iiwa7_link_2", "iiwa7_link_4", "iiwa7_link_6")


def hand_bit(arm: int) -> int:
    """Return the collision class of the palm and fingers of robot `arm`."""
    return 4 << arm


def arm_bit(arm: int) -> int:
    """Return the collision class of links 4 to 7 of robot `arm`."""
    return 16 << arm


def _collision(link: str, arm: int, num_arms: int, self_collision: str) -> tuple[int, int]:
    """Return contype and conaffinity of a link or the palm: what it is, and what it touches."""
    others = sum(hand_bit(i) | arm_bit(i) for i in range(num_arms) if i != arm)
    if not link.startswith("iiwa7"):
        own = hand_bit(arm)
        meets_own = self_collision == "all" or (self_collision == "tips" and link.endswith("3"))
        return own, STATIC_BIT | OBJECT_BIT | others | (own if meets_own else 0)
    number = int(link[-1])
    if number >= 5:
        return arm_bit(arm), STATIC_BIT | OBJECT_BIT | others
    if number == 4:
        return arm_bit(arm), STATIC_BIT | others
    return 0, STATIC_BIT if number == 3 else 0


def add_robot(
    spec: mujoco.MjSpec, arm: int, num_arms: int, xyz: Vector, yaw: float, physics: PhysicsCfg
) -> None:
    """Add robot `arm`, weightless as in the original, with its drives and sites.

    Args:
        spec: the scene; the names of everything added start with `arm{arm}/`.
        arm: index of this robot.
        num_arms: number of robots in the scene; two robots collide with each other.
        xyz: [3] base position, m.
        yaw: base rotation about the vertical, rad.
        physics: drive gains and self collision.
    """
    prefix = f"arm{arm}/"
    base = spec.worldbody.add_body(name=prefix + "iiwa7_link_0", pos=xyz)
    base.quat = quat_from_rpy((0, 0, yaw))
    _set_inertia(base, *BASE_INERTIAL)
    _add_cylinder(base, 0.0, 0.1575, 0.095)
    bodies = {"iiwa7_link_0": base}
    for link in ARM + HAND:
        on_palm = link.parent == "palm_link"
        parent = bodies[PALM if on_palm else link.parent]
        body = parent.add_body(name=prefix + link.name, gravcomp=1)
        body.pos, body.quat = _frame(link.xyz, link.rpy, on_palm)
        _set_inertia(body, link.mass, link.com, link.inertia)
        _add_joint(spec, body, link, prefix, physics)
        contype, conaffinity = _collision(link.name, arm, num_arms, physics.self_collision)
        add_shape(
            body, link.shape, rgba=_colour(link.name), contype=contype, conaffinity=conaffinity
        )
        bodies[link.name] = body
    _add_palm(bodies[PALM], arm, num_arms, physics)
    for site, body in zip(SITES, (PALM, *(f"{f}_link_3" for f in FINGERS)), strict=True):
        bodies[body].add_site(name=prefix + site, size=(0.005,) * 3, group=4)
    _exclude_neighbours(spec, prefix)


def _frame(xyz: Vector, rpy: Vector, on_palm: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return a link's position and quaternion in its parent body; palm_link is part of link 7."""
    pos, quat = np.array(xyz, dtype=float), quat_from_rpy(rpy)
    if on_palm:
        palm_quat, local_pos, local_quat = quat_from_rpy(HAND_RPY), pos.copy(), quat.copy()
        mujoco.mju_rotVecQuat(pos, local_pos, palm_quat)
        pos += HAND_XYZ
        mujoco.mju_mulQuat(quat, palm_quat, local_quat)
    return pos, quat


def _set_inertia(body: mujoco.MjsBody, mass: float, com: Vector, inertia: Vector) -> None:
    body.explicitinertial = True
    body.mass, body.ipos = mass, com
    if len(inertia) == 3:
        body.inertia = inertia
    else:
        body.fullinertia = inertia


def _add_joint(
    spec: mujoco.MjSpec, body: mujoco.MjsBody, link: Link, prefix: str, physics: PhysicsCfg
) -> None:
    """Add the joint of `link` and its position drive: kp (target - q) - kv qdot, clamped."""
    name = prefix + link.name.replace("_link_", "_joint_")
    is_arm = link in ARM
    body.add_joint(
        name=name,
        type=mujoco.mjtJoint.mjJNT_HINGE,
        axis=(0, 0, 1),
        limited=True,
        range=link.limit,
        armature=physics.arm_armature if is_arm else physics.hand_armature,
    )
    drive = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    if is_arm:
        drive.set_to_position(kp=physics.arm_kp, kv=physics.arm_kv)
        limit = physics.arm_torque_limit
    else:
        drive.set_to_position(kp=physics.hand_kp, kv=physics.hand_kv)
        limit = physics.hand_torque_limit
    drive.forcelimited, drive.forcerange = True, (-limit, limit)


def _add_palm(body: mujoco.MjsBody, arm: int, num_arms: int, physics: PhysicsCfg) -> None:
    """Add the palm box and the mount, which is only seen: the capsule of link 7 covers it."""
    contype, conaffinity = _collision("palm", arm, num_arms, physics.self_collision)
    palm = add_shape(
        body, PALM_BOX, rgba=_COLOURS["hand"], contype=contype, conaffinity=conaffinity
    )
    palm.pos, palm.quat = _frame(PALM_BOX.centre, (0, 0, 0), on_palm=True)
    _add_cylinder(body, 0.071, 0.094, 0.038)


def _add_cylinder(body: mujoco.MjsBody, bottom: float, top: float, radius: float) -> None:
    """Add an upright cylinder that is only seen; metres."""
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CYLINDER,
        pos=(0, 0, (bottom + top) / 2),
        size=(radius, (top - bottom) / 2, 0),
        rgba=_COLOURS["base"],
        contype=0,
        conaffinity=0,
    )


def _exclude_neighbours(spec: mujoco.MjSpec, prefix: str) -> None:
    """Switch off self collision within a finger and between the palm and the proximal links."""
    for finger in FINGERS:
        link = [f"{prefix}{finger}_link_{i}" for i in range(4)]
        pairs = [
            (link[0], link[2]),
            (link[0], link[3]),
            (link[1], link[3]),
            (prefix + PALM, link[1]),
        ]
        for first, second in pairs:
            spec.add_exclude(bodyname1=first, bodyname2=second)


def _colour(link: str) -> Vector:
    if link.startswith("iiwa7"):
        return _COLOURS["joint" if link in _ORANGE else "arm"]
    return _COLOURS["tip" if link.endswith("3") else "hand"]


def quat_from_rpy(rpy: Vector) -> np.ndarray:
    """Turn fixed-axis roll, pitch, yaw (rad) into a quaternion, [4] wxyz."""
    result = np.array([1.0, 0.0, 0.0, 0.0])
    for axis, angle in enumerate(rpy):
        turn = np.zeros(4)
        turn[0], turn[1 + axis] = np.cos(angle / 2), np.sin(angle / 2)
        mujoco.mju_mulQuat(result, turn, result.copy())
    return result


def add_shape(body: mujoco.MjsBody, shape: Box | Capsule, **geom: object) -> mujoco.MjsGeom:
    """Add a geom of this shape to `body`; `geom` holds further attributes of `add_geom`."""
    if isinstance(shape, Box):
        return body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX, pos=shape.centre, size=shape.half, **geom
        )
    return body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        fromto=(*shape.start, *shape.end),
        size=(shape.radius, 0, 0),
        **geom,
    )
