"""The observation computed from Isaac Gym's tensors, for moments that it does not observe itself.

Isaac Gym's tasks observe only after simulating, so the first observation of an episode does not
exist there. Joints, object and goal are in its tensors right after a reset; palms and fingertips
follow from the joints (`kinematics.py`), the rest is the code of our own task.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional

import torch
from torch import Tensor

from tasks.allegro_kuka import episode, objects, observations
from tasks.allegro_kuka.blocks import BODY, blocks
from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.allegro_kuka.geometry import Readout, Rows, keypoint_points, measure, site_points
from tasks.isaacgym.kinematics import Kinematics

TOLERANCE = 2e-3
"""Largest difference of an entry at the start, in its unit: far below a changed geometry (cm), far
above the rounding of 11 joints in float32 (1e-6 m)."""


class IsaacGymReadout:
    """Observe a task of isaacgymenvs.

    Args:
        env: the `VecTask`, which has been stepped at least once.
        cfg: the task.
    """

    def __init__(self, env: Any, cfg: AllegroKukaCfg) -> None:
        self.env, self.num_arms = env, cfg.num_arms
        root = env.root_state_tensor.view(env.num_envs, -1, 13)
        self._kinematics = Kinematics(wxyz(root[0, : cfg.num_arms, :7]))
        self._points = site_points(cfg.num_arms, root.device)
        half_size = objects.half_size(env.object_scales)
        self._keypoints = keypoint_points(cfg.subtask, half_size, cfg.keypoint_scale)
        self._blocks = blocks(cfg.subtask, cfg.num_arms)
        self._palm_sign = root.new_ones(cfg.num_arms, 1, 1)

    def observe(self, rows: Rows, progress: int = 0, reward: Optional[Tensor] = None) -> Tensor:
        """Observe environments that have not yet moved in this episode.

        Args:
            rows: which ones, M of them.
            progress: control steps so far; unset minima show their present value.
            reward: [M] of this step, task units; None: 0.

        Returns:
            [M, O], as in `observations.observe`.
        """
        env = self.env
        state = self.read(rows)
        goal_pose = wxyz(env.goal_states[rows, :7])
        geometry = measure(state, goal_pose, self._points, self._keypoints[..., rows])
        num = len(goal_pose)
        shown = episode.begin(num, 4 * self.num_arms, goal_pose.device)
        shown = replace(shown, progress=shown.progress + progress)
        shown = episode.with_minima(shown, geometry)
        reward = torch.zeros_like(shown.successes) if reward is None else reward
        return observations.observe(state, geometry, shown, env.object_scales[rows], reward)

    def read(self, rows: Rows) -> Readout:
        """Read joints and object of M environments, and derive palms and fingertips."""
        env = self.env
        joint_pos, joint_vel = env.arm_hand_dof_pos[rows], env.arm_hand_dof_vel[rows]
        root = env.root_state_tensor[env.object_indices[rows]]
        thing = torch.cat((wxyz(root[:, :7]), root[:, 7:]), dim=1).T[None]  # [1, 13, M]
        bodies = self._kinematics.bodies(joint_pos, joint_vel)
        palm_quat = self._palm_sign * bodies.palm_quat
        # Sites S: object, palms, fingertips; [S, ., M]. Nobody asks for a fingertip's velocity.
        pos = torch.cat((thing[:, :3], bodies.palm_pos, bodies.tip_pos.flatten(0, 1)))
        quat = torch.cat((thing[:, 3:7], palm_quat, bodies.tip_quat.flatten(0, 1)))
        linvel = torch.cat((thing[:, 7:10], bodies.palm_linvel))
        angvel = torch.cat((thing[:, 10:], bodies.palm_angvel))
        return Readout(
            env.arm_hand_dof_lower_limits,
            env.arm_hand_dof_upper_limits,
            joint_pos,
            joint_vel,
            *(x.permute(2, 0, 1) for x in (pos, quat, linvel, angvel)),
        )

    def align(self, observation: Tensor) -> None:
        """Flip palm quaternions to the sign that Isaac Gym's have in `observation` [N, O].

        Both come from the same chain of products, so one sign per arm holds for all postures.
        """
        ours, theirs = self._palm_quat(self.observe(slice(None))), self._palm_quat(observation)
        sign = (ours * theirs).sum((0, 2)).sign()
        self._palm_sign *= torch.where(sign == 0, 1.0, sign)[:, None, None]

    def differing_block(self, observation: Tensor, reward: Tensor) -> Optional[str]:
        """Compare with the observation [N, O] after the first step of all episodes.

        Args:
            observation: [N, O] from Isaac Gym.
            reward: [N] of the same step.

        Returns:
            Name of the first part that is not the same, and by how much; None: all are.
        """
        ours = self.observe(slice(None), progress=1, reward=reward)
        for name, block in self._blocks.items():
            difference = (ours[:, block] - observation[:, block]).abs()
            if name == "palm_body":
                # Not the velocities: of the origin or of the centre of mass, nobody knows.
                difference = difference.unflatten(1, (-1, 10))[..., BODY["quat"]]
            largest = float(difference.max())
            if not largest <= TOLERANCE:
                return f"{name} (by {largest:.3g})"
        return None

    def _palm_quat(self, observation: Tensor) -> Tensor:
        """Take the palm quaternions [N, A, 4] out of observations [N, O]."""
        return observation[:, self._blocks["palm_body"]].unflatten(1, (-1, 10))[..., BODY["quat"]]


def wxyz(pose: Tensor) -> Tensor:
    """Turn poses [..., 7] with quaternions xyzw into ones with wxyz."""
    return torch.cat((pose[..., :3], pose[..., 3:].roll(1, dims=-1)), dim=-1)
