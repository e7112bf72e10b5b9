"""What differs between Allegro-Kuka worlds, and the fields of a MuJoCo model that it becomes."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Optional

import numpy as np
from torch import Tensor

from tasks.allegro_kuka.layout import Layout


class Worlds(NamedTuple):
    """What differs between the worlds, fixed for the life of a simulator.

    Attributes:
        object_half_size: [N, 3] half edges of the box, m.
        object_mass: [N] kg; the inertia is that of a solid box.
        object_friction: [N] sliding friction of the object, the model's if None.
        stiffness: [N, 23 A] factor of every drive's stiffness, 1 if None.
        damping: [N, 23 A] factor of every drive's damping, 1 if None.
    """

    object_half_size: Tensor
    object_mass: Tensor
    object_friction: Optional[Tensor] = None
    stiffness: Optional[Tensor] = None
    damping: Optional[Tensor] = None


def check_shapes(worlds: Worlds, num_joints: int) -> None:
    """Refuse tensors whose shapes do not fit each other or the model.

    Raises:
        ValueError: naming the tensor, its shape and the right one.
    """
    num_envs = len(worlds.object_half_size)
    width = {"object_half_size": (3,), "stiffness": (num_joints,), "damping": (num_joints,)}
    for name, value in worlds._asdict().items():
        shape = (num_envs, *width.get(name, ()))
        if value is not None and tuple(value.shape) != shape:
            raise ValueError(f"{name} has shape {tuple(value.shape)}, give {shape}")


def model_fields(mj: Any, layout: Layout, worlds: Worlds) -> Dict[str, np.ndarray]:
    """Return the fields of a `mujoco.MjModel` in all worlds, name -> [N, ...] float64.

    Raises:
        ValueError: if a tensor of `worlds` has another shape.
    """
    check_shapes(worlds, len(layout.joint_names))
    num_envs = len(worlds.object_half_size)
    half, mass = _numbers(worlds.object_half_size), _numbers(worlds.object_mass)

    def repeated(name: str) -> np.ndarray:
        return np.repeat(getattr(mj, name)[None], num_envs, axis=0)

    fields = {name: repeated(name) for name in ("geom_size", "body_mass", "body_inertia")}
    fields["geom_size"][:, layout.object_geom] = half
    if layout.goal_copies_object:
        fields["geom_size"][:, layout.goal_geom] = half
    fields["body_mass"][:, layout.object_body] = mass
    fields["body_inertia"][:, layout.object_body] = box_inertia(half, mass)
    if worlds.object_friction is not None:
        fields["geom_friction"] = repeated("geom_friction")
        fields["geom_friction"][:, layout.object_geom, 0] = _numbers(worlds.object_friction)
    # A position drive pulls with kp ctrl - kp q - kv qdot.
    if worlds.stiffness is not None or worlds.damping is not None:
        fields["actuator_biasprm"] = repeated("actuator_biasprm")
    if worlds.stiffness is not None:
        factor = _numbers(worlds.stiffness)
        fields["actuator_gainprm"] = repeated("actuator_gainprm")
        fields["actuator_gainprm"][:, :, 0] *= factor
        fields["actuator_biasprm"][:, :, 1] *= factor
    if worlds.damping is not None:
        fields["actuator_biasprm"][:, :, 2] *= _numbers(worlds.damping)
    return fields


def box_inertia(half: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Return the inertia [N, 3] of solid boxes, kg m^2: m/3 (hy^2 + hz^2) about x, and so on."""
    squares = half**2
    return mass[:, None] / 3 * (squares.sum(axis=1, keepdims=True) - squares)


def _numbers(values: Tensor) -> np.ndarray:
    return values.double().cpu().numpy()
