"""N worlds of robots and an object, as the tasks see them; the engine is unseen."""

from __future__ import annotations

from typing import Any, Dict, Optional, Protocol

import torch
from torch import Tensor


class Simulator(Protocol):
    """N worlds of one compiled model; A arms of 23 joints, S = 1 + A + 4 A sites.

    All tensors are float32 on `device`, world frame, quaternions wxyz. Sites are in the
    order object, palm link of each arm (body iiwa7_link_7), then the fingertip links of
    arm 0 (index, middle, ring, thumb) and of arm 1. Read members are current after
    `step`, `set_state` and `load_state_dict`, and are overwritten by the next of them.

    Attributes:
        joint_lower, joint_upper: [23 A] joint limits, rad.
        joint_pos, joint_vel: [N, 23 A] rad, rad/s.
        object_pose: [N, 7] position m, quaternion wxyz.
        site_pos, site_quat, site_linvel, site_angvel: [N, S, 3 or 4] m, wxyz, m/s, rad/s.
        ctrl: [N, 23 A] joint position targets, rad; written by the task.
        object_force: [N, 6] force N and torque N m on the object at its centre of mass,
            world frame, held until rewritten; written by the task.
        goal_pose: [N, 7] pose of the goal: a marker that touches nothing, or a bucket; written
            by the task.
        wall_pose: [N, 7] pose of the movable wall, [N, 0] in scenes without one.
        object_mass: [N] kg.
        bad: [N] bool, the world left the physically sensible range (non-finite state, object
            faster than 20 m/s or 100 rad/s) in the last `step`.
        control_dt_s: duration of one `step`, s.
    """

    num_envs: int
    num_arms: int
    device: torch.device
    control_dt_s: float
    versions: Dict[str, str]
    joint_lower: Tensor
    joint_upper: Tensor
    joint_pos: Tensor
    joint_vel: Tensor
    object_pose: Tensor
    site_pos: Tensor
    site_quat: Tensor
    site_linvel: Tensor
    site_angvel: Tensor
    ctrl: Tensor
    object_force: Tensor
    goal_pose: Tensor
    wall_pose: Tensor
    object_mass: Tensor
    bad: Tensor

    def step(self) -> None:
        """Advance every world by one control step under `ctrl` and `object_force`."""
        ...

    def set_state(
        self,
        mask: Tensor,
        joint_pos: Tensor,
        joint_vel: Tensor,
        object_pose: Tensor,
        object_vel: Optional[Tensor] = None,
    ) -> None:
        """Overwrite the state of the worlds in `mask` and refresh the read members.

        A movable wall of these worlds goes back to where it starts, at rest.

        Args:
            mask: [N] bool, worlds to change; the others keep their state bit for bit.
            joint_pos: [N, 23 A] rad.
            joint_vel: [N, 23 A] rad/s.
            object_pose: [N, 7] m, wxyz.
            object_vel: [N, 6] linear m/s and angular rad/s, world frame; None: at rest.
        """
        ...

    def state_dict(self) -> Dict[str, Any]:
        """Full physics state, warm starts included; plain types and tensors."""
        ...

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        ...

    def close(self) -> None:
        """Free threads and device memory."""
        ...
