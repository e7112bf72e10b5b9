"""Warp kernels of the GPU engine: what would otherwise be dozens of torch launches per step."""

# pyright: reportIndexIssue=false, reportInvalidTypeForm=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportCallIssue=false
# A kernel is written in Warp's dialect of Python, which type checkers do not know.

from __future__ import annotations

import warp as wp
from mujoco_warp import OverflowType

from tasks.engines.simulator import MAX_SPEED_M_S, MAX_SPIN_RAD_S

_CONTACTS_LOST = int(OverflowType.BROADPHASE | OverflowType.NARROWPHASE | OverflowType.CCD)
_ROWS_LOST = int(OverflowType.NEFC | OverflowType.NJMAX_NNZ)
_MAX_SPEED_SQUARED = wp.constant(float(MAX_SPEED_M_S) ** 2)
_MAX_SPIN_SQUARED = wp.constant(float(MAX_SPIN_RAD_S) ** 2)


@wp.kernel(enable_backward=False)
def overwrite(
    mask: wp.array(dtype=wp.bool),
    new_qpos: wp.array2d(dtype=float),
    new_qvel: wp.array2d(dtype=float),
    qpos: wp.array2d(dtype=float),
    qvel: wp.array2d(dtype=float),
    warmstart: wp.array2d(dtype=float),
    activation: wp.array2d(dtype=float),
):
    """Return the worlds in `mask` a new state; one thread per world."""
    world = wp.tid()
    if not mask[world]:
        return
    for i in range(qpos.shape[1]):
        qpos[world, i] = new_qpos[world, i]
    for i in range(qvel.shape[1]):
        qvel[world, i] = new_qvel[world, i]
        warmstart[world, i] = 0.0
    for i in range(activation.shape[1]):
        activation[world, i] = 0.0


@wp.kernel(enable_backward=False)
def judge(
    watched: wp.array(dtype=int),
    is_step: bool,
    qpos: wp.array2d(dtype=float),
    qvel: wp.array2d(dtype=float),
    overflow: wp.array(dtype=int),
    bad: wp.array(dtype=wp.bool),
    counters: wp.array(dtype=wp.int64),
):
    """Return which worlds are bad; after a step count them and what full buffers lost.

    `watched` are first degrees of freedom of free joints, `counters` those of `Counters.totals`;
    `overflow`, MuJoCo Warp's flags, is cleared.
    """
    world = wp.tid()
    # A sum is finite only if every term is, and NaN fails every comparison.
    total = wp.float32(0.0)
    for i in range(qpos.shape[1]):
        total += qpos[world, i]
    for i in range(qvel.shape[1]):
        total += qvel[world, i]
    is_good = wp.isfinite(total)
    for k in range(watched.shape[0]):
        i = watched[k]
        speed = wp.vec3(qvel[world, i], qvel[world, i + 1], qvel[world, i + 2])
        spin = wp.vec3(qvel[world, i + 3], qvel[world, i + 4], qvel[world, i + 5])
        is_slow = wp.length_sq(speed) <= _MAX_SPEED_SQUARED
        is_good = is_good and is_slow and wp.length_sq(spin) <= _MAX_SPIN_SQUARED
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
