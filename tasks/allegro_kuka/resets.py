"""The start of an episode: from uniform draws to robot posture and object pose."""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.allegro_kuka.geometry import vertical_half_extent
from tasks.allegro_kuka.robot import (
    ARM_JOINTS,
    AT_OBJECT_ARM,
    AT_OBJECT_HAND,
    HAND_JOINTS,
    HOME_ARM,
    HOME_HAND,
)

SPAWN_HEIGHT_M = 0.63
"""Nominal height of the object's centre at its start, m."""
TABLE_TOP_M = 0.53
"""Height of the table, m."""
SPAWN_CLEARANCE_M = 0.005
"""Gap under an object whose spawn had to be raised, m (our choice)."""
AT_OBJECT_NOISE_RAD = 0.03
"""Half range of every joint around the posture at the object, rad (ours)."""
SPAWN_SIDE_M = {1: 0.0, 2: 0.35}
"""Shift of the nominal spawn to either side along x, m, by number of arms."""
AT_OBJECT_SIDE_M = {1: 0.0, 2: 0.3}
"""The same for objects under an open hand: 0.8 m from the base of the arm (ours)."""


def default_posture(num_arms: int, device: torch.device) -> Tensor:
    """Return the default joint positions [23 A], rad (IsaacGymEnvs `desired_kuka_pos`)."""
    one = HOME_ARM[num_arms] + HOME_HAND
    return torch.tensor(one * num_arms, device=device)


def posture_at_object(u: Tensor) -> Tensor:
    """Return joint positions [N, 23 A], rad, of open hands at `AT_OBJECT_SIDE_M` on the table.

    Args:
        u: [N, 23 A] uniform in [0, 1).
    """
    num_arms = u.shape[1] // len(AT_OBJECT_ARM + AT_OBJECT_HAND)
    posture = u.new_tensor((AT_OBJECT_ARM + AT_OBJECT_HAND) * num_arms)
    return posture + AT_OBJECT_NOISE_RAD * (2.0 * u - 1.0)


def pose_at_hand(u: Tensor, side: Tensor, half_size: Tensor, xy_m: float, num_arms: int) -> Tensor:
    """Return poses [N, 7] (m, wxyz) of objects that stand upright under an open hand.

    Args:
        u: [N, 2] uniform in (-1, 1).
        side: [N] -1 or 1, the side along x; without effect with one arm.
        half_size: [N, 3] half edges, m.
        xy_m: half range in x and y, m.
        num_arms: 1 or 2.
    """
    pose = half_size.new_zeros(len(half_size), 7)
    pose[:, :2] = xy_m * u
    pose[:, 0] += AT_OBJECT_SIDE_M[num_arms] * side
    pose[:, 2] = TABLE_TOP_M + half_size[:, 2]
    pose[:, 3] = 1.0
    return pose


def joint_noise(num_arms: int, arm: float, hand: float, device: torch.device) -> Tensor:
    """Return the share of the joint range that is sampled, per joint [23 A]."""
    one = (arm,) * len(ARM_JOINTS) + (hand,) * len(HAND_JOINTS)
    return torch.tensor(one * num_arms, device=device)


def joint_position(
    u: Tensor, default: Tensor, lower: Tensor, upper: Tensor, noise: Tensor
) -> Tensor:
    """Map draws to starting joint positions, biased towards mid-range as in the original.

    Args:
        u: [N, 23 A] uniform in [0, 1).
        default: [23 A] rad.
        lower: [23 A] rad.
        upper: [23 A] rad.
        noise: [23 A] share of the range.

    Returns:
        [N, 23 A] rad; may lie outside the limits where the default does.

    Source: IsaacGymEnvs `allegro_kuka_base.py`, reset_idx.
    """
    return (1.0 - noise) * default + noise * (lower + u * (upper - lower))


def object_position(u: Tensor, side: Tensor, xy_m: float, z_m: float, num_arms: int) -> Tensor:
    """Map draws to spawn positions.

    Args:
        u: [N, 3] uniform in [-1, 1).
        side: [N] -1 or 1, the side along x; without effect with one arm.
        xy_m: half range of x and y, m.
        z_m: half range of z, m.
        num_arms: 1 or 2.

    Returns:
        [N, 3] m, world frame.
    """
    x, y, z = u.unbind(-1)
    return torch.stack(
        (SPAWN_SIDE_M[num_arms] * side + xy_m * x, xy_m * y, SPAWN_HEIGHT_M + z_m * z), dim=-1
    )


def raise_above_table(position: Tensor, quat: Tensor, half_size: Tensor) -> Tensor:
    """Lift `position` [N, 3] where the box turned by `quat` [N, 4] wxyz would touch the table."""
    floor = TABLE_TOP_M + SPAWN_CLEARANCE_M + vertical_half_extent(quat, half_size)
    return torch.cat((position[:, :2], torch.maximum(position[:, 2], floor)[:, None]), dim=-1)
