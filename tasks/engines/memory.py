"""How much memory N worlds need, asked before anything is allocated.

Compared with what the engines really allocate: within 1 % of Warp's arrays (on its CPU device;
on a GPU not yet measured), within 5 % of the resident memory of `mujoco.batch`.
"""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import mujoco
import torch

from epo.memory import free_bytes
from tasks.engines.capacity import Capacity
from tasks.engines.simulator import Fields
from tasks.errors import refuse

_GIB = 2**30
_ROUND = 64
"""Suggested numbers of worlds are multiples of this."""
_UNDERIVED = ("geom_friction", "actuator_gainprm", "actuator_biasprm", "geom_rgba")
"""Fields that no other constant of a model follows from."""


class Need(NamedTuple):
    """Memory of N worlds: `fixed` plus N times `per_world`, bytes."""

    fixed: int
    per_world: int


def check_memory(num_envs: int, need: Need, device: torch.device) -> None:
    """Refuse more worlds than fit into the memory that is free now.

    Raises:
        ValueError: with the largest number of worlds that fit.
    """
    free = free_bytes(device)
    total = need.fixed + num_envs * need.per_world
    if total <= free:
        return
    fit = max(free - need.fixed, 0) // need.per_world // _ROUND * _ROUND
    way_out = f"at most {fit} fit: use num_envs={fit}" if fit else f"free memory on {device}"
    sizes = f"{total / _GIB:.1f} GiB on {device}, where {free / _GIB:.1f} GiB are free"
    refuse("num_envs", num_envs, f"its physics needs {sizes}; {way_out}")


def own_fields(fields: Fields) -> list[str]:
    """List the fields of `mujoco.MjModel` that every world has for itself: given and derived."""
    names = dict.fromkeys(fields)
    if "geom_size" in fields:
        names.update(dict.fromkeys(("geom_rbound", "geom_aabb")))
    if any(name not in (*_UNDERIVED, "geom_size") for name in fields):
        inertial = ("body_subtreemass", "body_invweight0", "dof_invweight0")
        names.update(dict.fromkeys(inertial))
    return list(names)


def mujoco_need(model: mujoco.MjModel, fields: Fields) -> Need:
    """Return the need of the engine on CPU threads: float64 rows and float32 tensors."""
    state = mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_INTEGRATION)
    # Two states: without a second one the measured size is not explained.
    doubles = 2 * state + model.nsensordata + _num_values(model, fields)
    floats = model.nq + model.nv + model.nsensordata + model.nu + 14
    return Need(0, 8 * doubles + 4 * floats)


def mujoco_warp_need(model: mujoco.MjModel, fields: Fields, room: Capacity) -> Need:
    """Return the need of the GPU engine: its state, its own model fields and solver scratch."""
    one, two = (_data_bytes(model, num_envs, room) for num_envs in (1, 2))
    # The Newton solver's Hessian, padded to tiles, and five values per constraint row.
    padded = -(-(model.nv + 1) // 16) * 16
    scratch = 4 * padded**2 + 20 * room.constraints + 8 * model.nv + 4 * padded
    return Need(2 * one - two, two - one + 4 * _num_values(model, fields) + scratch)


def _num_values(model: mujoco.MjModel, fields: Fields) -> int:
    return sum(getattr(model, name).size for name in own_fields(fields))


def _data_bytes(model: mujoco.MjModel, num_envs: int, room: Capacity) -> int:
    """Allocate the state of a few worlds in main memory and measure it."""
    import mujoco_warp as mjw
    import warp as wp

    with wp.ScopedDevice("cpu"):
        return _array_bytes(
            mjw.make_data(
                model,
                nworld=num_envs,
                naconmax=room.all_contacts(num_envs),
                njmax=room.constraints,
            )
        )


def _array_bytes(record: Any) -> int:
    """Sum the sizes of all Warp arrays in a nest of dataclasses."""
    total = 0
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if dataclasses.is_dataclass(value):
            total += _array_bytes(value)
        else:
            total += getattr(value, "capacity", 0)
    return total
