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
from tasks.engines.layout import Layout
from tasks.engines.memory import own_fields
from tasks.engines.mujoco import box_inertia
from tasks.engines.simulator import Worlds


def make_worlds(
    model: mujoco.MjModel, layout: Layout, worlds: Worlds, room: Capacity
) -> tuple[mjw.Model, mjw.Data, dict[str, Tensor]]:
    """Put N worlds on Warp's current device.

    Args:
        model: compiled scene.
        layout: addresses of its parts.
        worlds: what differs between the worlds.
        room: for contacts and constraints.

    Returns:
        The model, the state (at the model's zero posture), and views of the model fields that
        differ between the worlds: name -> [N, ...], as in `mujoco.MjModel`.
    """
    num_envs = len(worlds.object_half_size)
    names = own_fields(worlds)
    warp_model = mjw.put_model(model, dict.fromkeys(names, num_envs))
    data = mjw.make_data(
        model, nworld=num_envs, naconmax=room.all_contacts(num_envs), njmax=room.constraints
    )
    # Kernels would print about overflows; `Counters` counts them instead.
    warp_model.opt.warn_overflow = 0
    if wp.get_device().is_cuda:
        warp_model.opt.graph_conditional = wp.is_conditional_graph_supported()
    fields = {name: wp.to_torch(getattr(warp_model, name)) for name in names}
    _write(fields, layout, worlds)
    mjw.set_const(warp_model, data)
    return warp_model, data, fields


def _write(fields: dict[str, Tensor], layout: Layout, worlds: Worlds) -> None:
    """Set the box and drives of every world; `set_const` derives the rest."""
    half, mass = worlds.object_half_size.double().cpu(), worlds.object_mass.double().cpu()
    fields["geom_size"][:, layout.object_geom] = half.to(fields["geom_size"])
    if layout.goal_copies_object:
        fields["geom_size"][:, layout.goal_geom] = half.to(fields["geom_size"])
    fields["body_mass"][:, layout.object_body] = mass.to(fields["body_mass"])
    inertia = torch.from_numpy(box_inertia(half.numpy(), mass.numpy()))
    fields["body_inertia"][:, layout.object_body] = inertia.to(fields["body_inertia"])
    if worlds.object_friction is not None:
        friction = fields["geom_friction"]
        friction[:, layout.object_geom, 0] = worlds.object_friction.to(friction)
    if worlds.stiffness is not None:
        # A position drive pulls with kp ctrl - kp q - kv qdot.
        fields["actuator_gainprm"][:, :, 0] *= worlds.stiffness.to(fields["actuator_gainprm"])
        fields["actuator_biasprm"][:, :, 1] *= worlds.stiffness.to(fields["actuator_biasprm"])
    if worlds.damping is not None:
        fields["actuator_biasprm"][:, :, 2] *= worlds.damping.to(fields["actuator_biasprm"])
