"""Rotations, and the points that rewards and observations are made of.

Here environments come last, [..., N]: on a CPU elementwise work with tiny trailing axes costs
several times more.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Union

import torch
from torch import Tensor

from tasks.allegro_kuka.simulator import Simulator

PALM_POINT = (0.0, -0.02, 0.16)
"""Palm centre in the frame of iiwa7_link_7, m."""
FINGERTIP_POINTS = ((0.05, 0.005, 0.0),) * 3 + ((0.06, 0.005, 0.0),)
"""Fingertips in the frames of the last links of index, middle, ring and thumb, m."""
KEYPOINT_CORNERS = {
    "regrasping": ((0.0, 0.0, 0.0),),
    "throw": ((0.0, 0.0, 0.0),),
    "reorientation": ((1.0, 1.0, 1.0), (1.0, 1.0, -1.0), (-1.0, -1.0, 1.0), (-1.0, -1.0, -1.0)),
}
"""Keypoints of the box in units of its half edges times the keypoint scale."""


Rows = Union[Tensor, slice]
"""Some environments: int64 ids, or `slice(None)` for all."""


class Readout(NamedTuple):
    """Present state of M of the N worlds, as in `Simulator`."""

    joint_lower: Tensor
    joint_upper: Tensor
    joint_pos: Tensor
    joint_vel: Tensor
    site_pos: Tensor
    site_quat: Tensor
    site_linvel: Tensor
    site_angvel: Tensor


def read(sim: Simulator, rows: Rows) -> Readout:
    """Read the state of the worlds `rows`; of all of them without a copy."""
    return Readout(
        sim.joint_lower,
        sim.joint_upper,
        sim.joint_pos[rows],
        sim.joint_vel[rows],
        sim.site_pos[rows],
        sim.site_quat[rows],
        sim.site_linvel[rows],
        sim.site_angvel[rows],
    )


class Geometry(NamedTuple):
    """Points and distances of one moment, world frame; A arms, F = 4 A fingertips, K keypoints.

    Attributes:
        palm: [A, 3, N] palm centres, m.
        fingertip: [F, 3, N] fingertip points, m.
        keypoint: [K, 3, N] keypoints of the object, m.
        to_goal: [K, 3, N] keypoints of the object minus those of the goal, m.
        fingertip_distance: [F, N] from the fingertip points to the object's centre, m.
        keypoint_distance: [N] of the keypoint that is farthest from its goal, m.
    """

    palm: Tensor
    fingertip: Tensor
    keypoint: Tensor
    to_goal: Tensor
    fingertip_distance: Tensor
    keypoint_distance: Tensor


def rotate(quat: Tensor, vector: Tensor) -> Tensor:
    """Rotate `vector` [..., 3, N] by `quat` [..., 4, N] wxyz; leading sizes broadcast."""
    axis = quat[..., 1:, :]
    # v' = v + w t + axis x t with t = 2 axis x v
    t = 2.0 * _cross(axis, vector)
    return vector + quat[..., :1, :] * t + _cross(axis, t)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    # Several times faster on a CPU than torch.linalg.cross.
    return (a * b.roll(-1, dims=-2) - a.roll(-1, dims=-2) * b).roll(-1, dims=-2)


def random_quaternion(u: Tensor) -> Tensor:
    """Map `u` [N, 3], uniform in [0, 1), to uniform rotations [N, 4] wxyz.

    Source: Shoemake 1992 in the component order of IsaacGymEnvs `allegro_kuka_utils.py`.
    """
    near, far = (1.0 - u[:, 0]).sqrt(), u[:, 0].sqrt()
    alpha, beta = (2.0 * math.pi * u[:, 1:]).unbind(-1)
    return torch.stack(
        (near * alpha.sin(), near * alpha.cos(), far * beta.sin(), far * beta.cos()), dim=-1
    )


def vertical_half_extent(quat: Tensor, half_size: Tensor) -> Tensor:
    """Return half the height [N] of boxes of `half_size` [N, 3] turned by `quat` [N, 4] wxyz, m."""
    w, x, y, z = quat.unbind(-1)
    # Last row of the rotation matrix: the height of each box axis.
    up = torch.stack((2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)), dim=-1)
    return (up.abs() * half_size).sum(-1)


def site_points(num_arms: int, device: torch.device) -> Tensor:
    """Return the points [5 A, 3, 1] of palms and fingertips in the frames of their sites, m."""
    points = (PALM_POINT,) * num_arms + FINGERTIP_POINTS * num_arms
    return torch.tensor(points, device=device)[..., None]


def keypoint_points(subtask: str, half_size: Tensor, keypoint_scale: float) -> Tensor:
    """Return the keypoints [K, 3, N] of boxes of `half_size` [N, 3] in the object's frame, m."""
    corners = torch.tensor(KEYPOINT_CORNERS[subtask], device=half_size.device)
    return corners[..., None] * (half_size.T * keypoint_scale)


def measure(state: Readout, goal_pose: Tensor, points: Tensor, keypoints: Tensor) -> Geometry:
    """Measure the present state.

    Args:
        state: its sites are used.
        goal_pose: [N, 7] m, wxyz.
        points: [5 A, 3, 1] from `site_points`, m.
        keypoints: [K, 3, N] from `keypoint_points`, m.
    """
    position = state.site_pos.permute(1, 2, 0).contiguous()  # [N, S, 3] -> [S, 3, N]
    quat = state.site_quat.permute(1, 2, 0).contiguous()
    goal = goal_pose.T[None]  # [1, 7, N]
    num_sites, num_keypoints = len(points), len(keypoints)
    turned = rotate(  # one call for all: [5 A + 2 K, 3, N]
        torch.cat(
            (
                quat[1:],
                quat[:1].expand(num_keypoints, -1, -1),
                goal[:, 3:].expand(num_keypoints, -1, -1),
            )
        ),
        torch.cat((points.expand(-1, -1, len(goal_pose)), keypoints, keypoints)),
    )
    at_site, at_object, at_goal = turned.split((num_sites, num_keypoints, num_keypoints))
    world = position[1:] + at_site
    num_arms = num_sites // 5
    palm, fingertip = world[:num_arms], world[num_arms:]
    keypoint = position[:1] + at_object
    to_goal = keypoint - (goal[:, :3] + at_goal)
    return Geometry(
        palm=palm,
        fingertip=fingertip,
        keypoint=keypoint,
        to_goal=to_goal,
        fingertip_distance=_length(fingertip - position[0]),
        keypoint_distance=_length(to_goal).amax(0),
    )


def _length(vector: Tensor) -> Tensor:
    return vector.square().sum(-2).sqrt()
