"""Forward kinematics of the robots: where palm and fingertips are at given joint positions.

Isaac Gym moves its rigid bodies only when it simulates, so after a reset they are still where the
last episode ended. Environments come last here, [..., M], as in `allegro_kuka/geometry.py`.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Sequence, Tuple

import torch
from torch import Tensor

from tasks.allegro_kuka.geometry import rotate
from tasks.allegro_kuka.robot import ARM, FINGERS, HAND, HAND_RPY, HAND_XYZ, Link

NUM_ARM_JOINTS, NUM_JOINTS = len(ARM), len(ARM) + len(HAND)


class Bodies(NamedTuple):
    """Palm bodies (link 7) and last finger links of A robots in M environments.

    Attributes:
        palm_pos: [A, 3, M] origins, m.
        palm_quat: [A, 4, M] wxyz.
        palm_linvel: [A, 3, M] of the origins, m/s.
        palm_angvel: [A, 3, M] rad/s.
        tip_pos: [A, 4, 3, M] origins of index, middle, ring and thumb, m.
        tip_quat: [A, 4, 4, M] wxyz.
    """

    palm_pos: Tensor
    palm_quat: Tensor
    palm_linvel: Tensor
    palm_angvel: Tensor
    tip_pos: Tensor
    tip_quat: Tensor


class Kinematics:
    """The chains of A robots whose bases stand still.

    Args:
        base_pose: [A, 7] poses of the bases, m, wxyz.

    Source: the chain in `allegro_kuka/robot.py`, from `kuka_allegro_touch_sensor.urdf`.
    """

    def __init__(self, base_pose: Tensor) -> None:
        self.base_pose = base_pose
        self._product = QuaternionProduct(base_pose)
        frames = [_frame(link) for link in (*ARM, *HAND)]
        position, quat = ([row[i] for row in frames] for i in (0, 1))
        self._position = base_pose.new_tensor(position)[..., None]  # [23, 3, 1]
        self._quat = base_pose.new_tensor(quat)[..., None]  # [23, 4, 1]

    def bodies(self, joint_pos: Tensor, joint_vel: Tensor) -> Bodies:
        """Return the bodies at joint positions [M, 23 A], rad, and velocities [M, 23 A], rad/s."""
        arms = len(self.base_pose)
        half = joint_pos.T.view(arms, NUM_JOINTS, 1, -1) / 2  # [A, 23, 1, M]
        zero = torch.zeros_like(half)
        turn = torch.cat((half.cos(), zero, zero, half.sin()), dim=2)  # about z
        local = self._product(self._quat, turn)  # [A, 23, 4, M]
        base = self.base_pose[..., None].expand(-1, -1, len(joint_pos))
        pos, quat = self._follow(
            base[:, :3], base[:, 3:], self._position[:NUM_ARM_JOINTS], local[:, :NUM_ARM_JOINTS]
        )
        speed = joint_vel.T.view(arms, NUM_JOINTS, 1, -1)[:, :NUM_ARM_JOINTS]
        linvel, angvel = _end_velocity(pos, quat, speed)
        palm_pos, palm_quat = pos[:, -1], quat[:, -1]
        fingers = (len(FINGERS), -1)
        tip_pos, tip_quat = self._follow(
            palm_pos[:, None],
            palm_quat[:, None],
            self._position[NUM_ARM_JOINTS:].unflatten(0, fingers),
            local[:, NUM_ARM_JOINTS:].unflatten(1, fingers),  # [A, 4 fingers, 4 joints, 4, M]
        )
        return Bodies(
            palm_pos, palm_quat, linvel, angvel, tip_pos[..., -1, :, :], tip_quat[..., -1, :, :]
        )

    def _follow(
        self, pos: Tensor, quat: Tensor, position: Tensor, local: Tensor
    ) -> Tuple[Tensor, Tensor]:
        """Follow chains of J joints from their root.

        Args:
            pos: [..., 3, M] roots, m.
            quat: [..., 4, M] wxyz.
            position: [..., J, 3, 1] of each joint in the link before it, m.
            local: [..., J, 4, M] rotation of each link in the link before it.

        Returns:
            Positions [..., J, 3, M] and rotations [..., J, 4, M] of the links.
        """
        quats = [quat]
        for joint in range(local.shape[-3]):
            quats.append(self._product(quats[-1], local[..., joint, :, :]))
        shape = quats[-1].shape
        parents = torch.stack([quat.expand(shape), *quats[1:-1]], dim=-3)
        origins = pos.unsqueeze(-3) + rotate(parents, position).cumsum(-3)
        return origins, torch.stack(quats[1:], dim=-3)


class QuaternionProduct:
    """Multiply quaternions in few operations: on a GPU each one costs the same, however small.

    Args:
        like: a tensor of the device and precision to compute with.
    """

    def __init__(self, like: Tensor) -> None:
        # (a b)_i is the sum over j of sign_ij a_(index_ij) b_j.
        index = [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]]
        sign = [[1, -1, -1, -1], [1, 1, -1, 1], [1, 1, 1, -1], [1, -1, 1, 1]]
        self._index = torch.tensor(index, device=like.device).flatten()
        self._sign = like.new_tensor(sign)[..., None]

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Multiply [..., 4, M] by [..., 4, M], wxyz; leading sizes broadcast."""
        matrix = a.index_select(-2, self._index).unflatten(-2, (4, 4)) * self._sign
        return (matrix * b.unsqueeze(-3)).sum(-2)


def _end_velocity(origins: Tensor, quats: Tensor, speed: Tensor) -> Tuple[Tensor, Tensor]:
    """Add up what every joint gives the last link.

    Args:
        origins: [A, J, 3, M] of the links, m.
        quats: [A, J, 4, M] wxyz.
        speed: [A, J, 1, M] of the joints about their z, rad/s.

    Returns:
        Velocity [A, 3, M], m/s, and angular velocity [A, 3, M], rad/s.
    """
    axis = torch.zeros_like(origins)
    axis[:, :, 2] = 1.0
    rate = rotate(quats, axis) * speed
    lever = origins[:, -1:] - origins
    return torch.linalg.cross(rate, lever, dim=2).sum(1), rate.sum(1)


def _frame(link: Link) -> Tuple[Sequence[float], Sequence[float]]:
    """Return position (m) and quaternion (wxyz) of a link in the last link before it that moves."""
    pos, quat = torch.tensor(link.xyz, dtype=torch.float64)[:, None], _quat(link.rpy)
    if link.parent == "palm_link":
        palm = _quat(HAND_RPY)
        pos = rotate(palm, pos) + torch.tensor(HAND_XYZ, dtype=torch.float64)[:, None]
        quat = QuaternionProduct(palm)(palm, quat)
    return pos[:, 0].tolist(), quat[:, 0].tolist()


def _quat(rpy: Sequence[float]) -> Tensor:
    """Turn rotations about the fixed axes x, y, z in turn, rad, into a quaternion [4, 1] wxyz."""
    quat = torch.tensor([[1.0], [0.0], [0.0], [0.0]], dtype=torch.float64)
    product = QuaternionProduct(quat)
    for axis, angle in enumerate(rpy):
        turn = torch.zeros_like(quat)
        turn[0], turn[1 + axis] = math.cos(angle / 2), math.sin(angle / 2)
        quat = product(turn, quat)
    return quat
