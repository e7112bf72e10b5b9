"""From policy actions to joint position targets."""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor

from tasks.allegro_kuka.robot import ARM_JOINTS

NUM_ARM_JOINTS = len(ARM_JOINTS)
"""Leading joints of each arm-and-hand of 23; the other 16 are finger joints."""


def joint_targets(
    action: Tensor, previous: Tensor, lower: Tensor, upper: Tensor, arm_step_rad: Optional[float]
) -> Tensor:
    """Map actions to joint position targets within the limits.

    Finger actions span the joint range. Arm actions do so too, or move the previous target.

    Args:
        action: [N, 23 A] clamped to [-1, 1] here.
        previous: [N, 23 A] targets of the previous control step, rad.
        lower: [23 A] joint limits, rad.
        upper: [23 A] joint limits, rad.
        arm_step_rad: change of an arm target at action 1, rad; None: arm actions are absolute.

    Returns:
        [N, 23 A] targets, rad.

    Source: IsaacGymEnvs `allegro_kuka_base.py`, `allegro_kuka_two_arms.py`, pre_physics_step.
    """
    action = action.clamp(-1.0, 1.0)
    target = lower + 0.5 * (action + 1.0) * (upper - lower)
    if arm_step_rad is not None:
        by_arm = target.view(len(target), -1, 23)
        by_arm[..., :NUM_ARM_JOINTS] = torch.add(
            previous.view_as(by_arm)[..., :NUM_ARM_JOINTS],
            action.view_as(by_arm)[..., :NUM_ARM_JOINTS],
            alpha=arm_step_rad,
        )
    return target.clamp(lower, upper)
