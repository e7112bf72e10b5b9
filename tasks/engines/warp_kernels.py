"""Warp kernels of the GPU engine: what would otherwise be dozens of torch launches per step."""

# pyright: reportIndexIssue=false, reportInvalidTypeForm=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportCallIssue=false
# A kernel is written in Warp's dialect of Python, which type checkers do not know.

from __future__ import annotations

import warp as wp
from mujoco_warp import OverflowType

from tasks.engines.layout import Layout
from tasks.engines.mujoco import MAX_OBJECT_SPEED_M_S, MAX_OBJECT_SPIN_RAD_S

_CONTACTS_LOST = int(OverflowType.BROADPHASE | OverflowType.NARROWPHASE | OverflowType.CCD)
_ROWS_LOST = int(OverflowType.NEFC | OverflowType.NJMAX_NNZ)
_MAX_SPEED_SQUARED = wp.constant(float(MAX_OBJECT_SPEED_M_S) ** 2)
_MAX_SPIN_SQUARED = wp.constant(float(MAX_OBJECT_SPIN_RAD_S) ** 2)


@wp.struct
class Addresses:
    """First element of each part of a world's state; a wall of width 0 is none."""

    joint_qpos: int
    joint_dof: int
    object_qpos: int
    object_dof: int
    wall_qpos: int
    wall_dof: int
    wall_width: int


def addresses(layout: Layout) -> Addresses:
    """Return the addresses of a layout's parts to kernels."""
    at = Addresses()
    at.joint_qpos, at.joint_dof = layout.joint_qpos.start, layout.joint_dof.start
    at.object_qpos, at.object_dof = layout.object_qpos.start, layout.object_dof.start
    at.wall_qpos, at.wall_dof = layout.wall_qpos.start, layout.wall_dof.start
    at.wall_width = layout.wall_qpos.stop - layout.wall_qpos.start
    return at


@wp.kernel(enable_backward=False)
def overwrite(
    at: Addresses,
    mask: wp.array(dtype=wp.bool),
    joint_pos: wp.array2d(dtype=float),
    joint_vel: wp.array2d(dtype=float),
    object_pose: wp.array2d(dtype=float),
    object_vel: wp.array2d(dtype=float),
    wall_start: wp.array(dtype=float),
    qpos: wp.array2d(dtype=float),
    qvel: wp.array2d(dtype=float),
    warmstart: wp.array2d(dtype=float),
):
    """Return the worlds in `mask` a new state; one thread per world, arguments as `set_state`."""
    world = wp.tid()
    if not mask[world]:
        return
    for i in range(joint_pos.shape[1]):
        qpos[world, at.joint_qpos + i] = joint_pos[world, i]
        qvel[world, at.joint_dof + i] = joint_vel[world, i]
    for i in range(7):
        qpos[world, at.object_qpos + i] = object_pose[world, i]
    # The free joint holds its angular velocity in the body frame.
    w = object_pose[world, 3]
    axis = -wp.vec3(object_pose[world, 4], object_pose[world, 5], object_pose[world, 6])
    spin = wp.vec3(object_vel[world, 3], object_vel[world, 4], object_vel[world, 5])
    twice = 2.0 * wp.cross(axis, spin)
    spin = spin + w * twice + wp.cross(axis, twice)
    for i in range(3):
        qvel[world, at.object_dof + i] = object_vel[world, i]
        qvel[world, at.object_dof + 3 + i] = spin[i]
    for i in range(at.wall_width):
        qpos[world, at.wall_qpos + i] = wall_start[i]
        if i < 6:
            qvel[world, at.wall_dof + i] = 0.0
    for i in range(warmstart.shape[1]):
        warmstart[world, i] = 0.0


@wp.kernel(enable_backward=False)
def judge(
    object_dof: int,
    is_step: bool,
    qpos: wp.array2d(dtype=float),
    qvel: wp.array2d(dtype=float),
    overflow: wp.array(dtype=int),
    bad: wp.array(dtype=wp.bool),
    counters: wp.array(dtype=wp.int64),
):
    """Return which worlds are bad; after a step count them and what full buffers lost.

    `counters` are those of `Counters.totals`; `overflow`, MuJoCo Warp's flags, is cleared.
    """
    world = wp.tid()
    # A sum is finite only if every term is, and NaN fails every comparison.
    total = wp.float32(0.0)
    for i in range(qpos.shape[1]):
        total += qpos[world, i]
    for i in range(qvel.shape[1]):
        total += qvel[world, i]
    i = object_dof
    speed = wp.vec3(qvel[world, i], qvel[world, i + 1], qvel[world, i + 2])
    spin = wp.vec3(qvel[world, i + 3], qvel[world, i + 4], qvel[world, i + 5])
    is_good = (
        wp.isfinite(total)
        and wp.length_sq(speed) <= _MAX_SPEED_SQUARED
        and wp.length_sq(spin) <= _MAX_SPIN_SQUARED
    )
    bad[world] = not is_good
    if is_step:
        lost = overflow[world]
        overflow[world] = 0
        if not is_good:
            wp.atomic_add(counters, 0, wp.int64(1))
        if (lost & wp.static(_CONTACTS_LOST)) != 0:
            wp.atomic_add(counters, 1, wp.int64(1))
        if (lost & wp.static(_ROWS_LOST)) != 0:
            wp.atomic_add(counters, 2, wp.int64(1))
