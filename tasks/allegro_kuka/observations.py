"""The observation vector: 117 or 99 numbers with one arm, 196 or 169 with two.

Source: IsaacGymEnvs `allegro_kuka_base.py` and `allegro_kuka_two_arms.py`,
populate_obs_and_states_buffers. Quaternions in it are xyzw, positions relative to the palm
centre, velocities in the world frame. Ours: the pose of a movable wall, 7 numbers in the world
frame, at the end.
"""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor

from tasks.allegro_kuka.blocks import blocks
from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.allegro_kuka.episode import Episode
from tasks.allegro_kuka.geometry import Geometry, Readout

LIMIT = 10.0
"""Bound of every entry ([U] `clampAbsObservations`)."""
REWARD_SCALE = 0.01
"""Factor of the observed reward."""
BOOKKEEPING = (
    "object_scale",
    "closest_keypoint",
    "closest_fingertip",
    "lifted",
    "progress",
    "successes",
    "reward",
)
"""Parts of the observation that the task knows instead of measuring them."""


def dimension(subtask: str, num_arms: int, observe_wall: bool = False) -> int:
    """Return O, the length of the observation."""
    return max(part.stop for part in blocks(subtask, num_arms, observe_wall).values())


def measured(cfg: AllegroKukaCfg, device: torch.device) -> Tensor:
    """Return which entries [O] are measured on robot, object and wall: all but `BOOKKEEPING`."""
    parts = blocks(cfg.subtask, cfg.num_arms, cfg.observe_wall)
    mask = torch.ones(dimension(cfg.subtask, cfg.num_arms, cfg.observe_wall), dtype=torch.bool)
    for name in BOOKKEEPING:
        mask[parts.get(name, slice(0))] = False
    return mask.to(device)


def observe(
    state: Readout,
    geometry: Geometry,
    episode: Episode,
    object_scale: Tensor,
    reward: Tensor,
    wall_pose: Optional[Tensor] = None,
) -> Tensor:
    """Assemble the observation.

    Args:
        state: present joints and sites.
        geometry: present points and distances.
        episode: bookkeeping before this step's reward, with no minimum unset.
        object_scale: [N, 3] nominal box size, 1 = 5 cm.
        reward: [N] of this step, task units.
        wall_pose: [N, 7] m, wxyz; None: not observed.

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
    if wall_pose is not None:
        rows += [wall_pose.T[:3], wall_pose.T[4:], wall_pose.T[3]]
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
