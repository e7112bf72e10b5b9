"""From a compiled model to N different worlds on a Warp device."""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

import mujoco
import mujoco_warp as mjw
import torch
import warp as wp
from torch import Tensor

from tasks.engines.capacity import Capacity
from tasks.engines.memory import own_fields
from tasks.engines.simulator import Fields


def make_worlds(
    mj: mujoco.MjModel, num_envs: int, fields: Fields, room: Capacity
) -> tuple[mjw.Model, mjw.Data, dict[str, Tensor]]:
    """Put N worlds on Warp's current device.

    Args:
        mj: compiled model.
        num_envs: N.
        fields: what differs between the worlds.
        room: for contacts and constraints.

    Returns:
        The model, the state (at the model's zero posture), and views of the model fields that
        differ between the worlds: name -> [N, ...], as in `mujoco.MjModel`.
    """
    names = own_fields(fields)
    warp_model = mjw.put_model(mj, dict.fromkeys(names, num_envs))
    data = mjw.make_data(
        mj, nworld=num_envs, naconmax=room.all_contacts(num_envs), njmax=room.constraints
    )
    # Kernels would print about overflows; `Counters` counts them instead.
    warp_model.opt.warn_overflow = 0
    if wp.get_device().is_cuda:
        warp_model.opt.graph_conditional = wp.is_conditional_graph_supported()
    views = {name: wp.to_torch(getattr(warp_model, name)) for name in names}
    for name, values in fields.items():
        views[name].copy_(torch.from_numpy(values).reshape(views[name].shape))
    if fields:
        mjw.set_const(warp_model, data)  # derives the other constants
    return warp_model, data, views
