"""The simulator contract: N worlds of one MuJoCo model, engine unseen."""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import mujoco
import numpy as np
import torch
from torch import Tensor

from tasks.engines.model import Model

MAX_SPEED_M_S = 20.0
MAX_SPIN_RAD_S = 100.0
"""Beyond these a watched body is an accident: boxes under random actions stay below 11 m/s."""

Fields = Mapping[str, np.ndarray]
"""What differs between the worlds: field of `mujoco.MjModel` -> its values [N, ...]."""


class Simulator(Protocol):
    """N worlds of one compiled model.

    All tensors are float32 on `device`; the model says where its parts are in them. Members that
    are read are current after `step`, `set_state` and `load_state_dict`, and are overwritten by the
    next of them.

    Attributes:
        model: what is simulated.
        control_dt_s: duration of one `step`, s.
        qpos, qvel: [N, nq], [N, nv] positions and velocities as MuJoCo orders them.
        sensors: [N, S] all sensors of the model, for the present state.
        ctrl: [N, nu] controls; written by the task.
        force: [N, F, 6] force N and torque N m on every pushed body at its centre of mass, world
            frame, held until rewritten; written by the task.
        mocap: [N, M, 7] poses of the mocap bodies, m and wxyz; written by the task.
        home_qpos: [nq] what worlds begin with, in the engine's own precision.
        bad: [N] bool, the state is not finite, or a watched body is faster than `MAX_SPEED_M_S` or
            turns faster than `MAX_SPIN_RAD_S`.
    """

    model: Model
    num_envs: int
    device: torch.device
    control_dt_s: float
    versions: dict[str, str]
    qpos: Tensor
    qvel: Tensor
    sensors: Tensor
    ctrl: Tensor
    force: Tensor
    mocap: Tensor
    home_qpos: Tensor
    bad: Tensor

    def step(self) -> None:
        """Advance every world by one control step under `ctrl`, `force` and `mocap`."""
        ...

    def set_state(self, mask: Tensor, qpos: Tensor, qvel: Tensor) -> None:
        """Overwrite the state of the worlds in `mask` and refresh the members that are read.

        Warm starts and activations of these worlds are cleared.

        Args:
            mask: [N] bool, worlds to change; the others keep their state bit for bit.
            qpos: [N, nq], of the type of `home_qpos`.
            qvel: [N, nv] likewise; a free joint's is linear in the world, angular in its body.
        """
        ...

    def load(self) -> dict[str, Tensor]:
        """Count `contacts` [N] and constraint `rows` [N]."""
        ...

    def world(self, index: int) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """Return one world as a model and data of its own, ready to render."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Full physics state, warm starts included; plain types and tensors."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        ...

    def close(self) -> None:
        """Free threads and device memory."""
        ...


def check_fields(model: Model, num_envs: int, fields: Fields) -> None:
    """Refuse fields that the model does not have, or that have another shape.

    Raises:
        ValueError: naming the field, its shape and the right one.
    """
    for name, values in fields.items():
        own = getattr(model.mj, name, None)
        if not isinstance(own, np.ndarray):
            raise ValueError(f"{name} is no field of mujoco.MjModel, such as body_mass")
        if values.shape != (num_envs, *own.shape):
            raise ValueError(f"{name} has shape {values.shape}, give {(num_envs, *own.shape)}")
