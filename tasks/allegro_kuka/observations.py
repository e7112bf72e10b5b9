"""The observation vector: 117 or 99 numbers with one arm, 196 or 169 with two.

Source: IsaacGymEnvs `allegro_kuka_base.py` and `allegro_kuka_two_arms.py`,
populate_obs_and_states_buffers. Quaternions in it are xyzw, positions relative to the palm
centre, velocities in the world frame.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.allegro_kuka.episode import Episode
from tasks.allegro_kuka.geometry import KEYPOINT_CORNERS, Geometry, Readout

LIMIT = 10.0
"""Bound of every entry ([U] `clampAbsObservations`)."""
REWARD_SCALE = 0.01
"""Factor of the reward in the last entry."""


def dimension(subtask: str, num_arms: int) -> int:
    """Give O, the length of the observation."""
    keypoints = len(KEYPOINT_CORNERS[subtask])
    # joints 46, palm centre and body 13, fingertips 12, keypoints to the palm 3K: per arm
    per_arm = 46 + 13 + 12 + 3 * keypoints
    closest_fingertip = 4 if num_arms == 1 else 0
    # object body 10, keypoints to the goal 3K, scale 3, five single numbers
    return num_arms * per_arm + 10 + 3 * keypoints + 3 + closest_fingertip + 5


def observe(
    state: Readout, geometry: Geometry, episode: Episode, object_scale: Tensor, reward: Tensor
) -> Tensor:
    """Assemble the observation.

    Args:
        state: present joints and sites.
        geometry: present points and distances.
        episode: bookkeeping before this step's reward, with no minimum unset.
        object_scale: [N, 3] box size, 1 = 5 cm.
        reward: [N] of this step, task units.

    Returns:
        [N, O] within +-10 and free of NaN, which worlds that went bad would show.
    """
    num_envs, arms = len(object_scale), len(geometry.palm)
    bodies = _bodies(state, 1 + arms)
    palm = geometry.palm[:, None]  # [A, 1, 3, N]
    rows = [
        geometry.palm,
        bodies[1:],
        bodies[0],
        geometry.fingertip.view(arms, 4, 3, num_envs) - palm,
        geometry.keypoint - palm,  # [A, K, 3, N]
        geometry.to_goal,
        object_scale.T,
        episode.closest_keypoint,
    ]
    if arms == 1:
        rows.append(episode.closest_fingertip)
    rows += [
        episode.lifted.float(),
        (episode.progress / 10.0 + 1.0).log(),
        (episode.successes + 1.0).log(),
        REWARD_SCALE * reward,
    ]
    joints = scale_joints(state.joint_pos, state.joint_lower, state.joint_upper)
    rest = torch.cat([row.reshape(-1, num_envs) for row in rows])  # [O - 46 A, N]
    observation = torch.cat((joints, state.joint_vel, rest.T), dim=-1)
    return observation.nan_to_num_(nan=0.0).clamp_(-LIMIT, LIMIT)


def _bodies(state: Readout, count: int) -> Tensor:
    """Stack quaternion xyzw, linear and angular velocity of the first sites: [count, 10, N]."""
    members = (state.site_quat, state.site_linvel, state.site_angvel)
    quat, linvel, angvel = (x[:, :count].permute(1, 2, 0) for x in members)
    return torch.cat((quat[:, 1:], quat[:, :1], linvel, angvel), dim=1)


def scale_joints(joint_pos: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """Scale joint positions [N, 23 A] so that the limits [23 A] become -1 and 1."""
    return (joint_pos - 0.5 * (upper + lower)) / (0.5 * (upper - lower))
