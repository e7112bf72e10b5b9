"""Where goals are."""

from __future__ import annotations

from typing import Dict, NamedTuple, Tuple

import torch
from torch import Tensor

from tasks.allegro_kuka.geometry import random_quaternion


class _Volume(NamedTuple):
    """Box of goal positions, m; `side_m` shifts it along x to either side."""

    lower: Tuple[float, float, float]
    upper: Tuple[float, float, float]
    side_m: float


VOLUMES: Dict[int, _Volume] = {
    1: _Volume((-0.4, 0.0, 0.68), (0.4, 0.35, 1.05), 0.0),
    2: _Volume((-0.2, -0.5, 0.68), (0.2, 0.5, 1.05), 0.75),
}
"""Goal positions by number of arms (IsaacGymEnvs `targetVolumeOrigin/Extent`; two arms: half on
either side, whatever the side of the object)."""
THROW_VOLUME = _Volume((-0.2, -1.0, 0.05), (0.2, 0.7, 1.05), 0.7)
"""Goal positions of the throw task, 5 cm above the bucket's underside: |x| in 0.5 to 0.9
(IsaacGymEnvs `allegro_kuka_throw.py`)."""


def goal_position(u: Tensor, side: Tensor, num_arms: int, subtask: str) -> Tensor:
    """Map draws to goal positions.

    Args:
        u: [N, 3] uniform in [0, 1).
        side: [N] -1 or 1, the side along x; without effect where goals have no side.
        num_arms: 1 or 2.
        subtask: as in `task.subtask`.

    Returns:
        [N, 3] m, world frame.
    """
    volume = THROW_VOLUME if subtask == "throw" else VOLUMES[num_arms]
    x, y, z = (
        low + (high - low) * column
        for low, high, column in zip(volume.lower, volume.upper, u.unbind(-1), strict=True)
    )
    return torch.stack((x + volume.side_m * side, y, z), dim=-1)


def goal_quaternion(u: Tensor, subtask: str) -> Tensor:
    """Map `u` [N, 3], uniform in [0, 1), to goal orientations [N, 4] wxyz.

    Only reorientation asks for one; elsewhere it is the identity.
    """
    if subtask == "reorientation":
        return random_quaternion(u)
    identity = u.new_zeros(len(u), 4)
    identity[:, 0] = 1.0
    return identity


def goal_pose(u: Tensor, side: Tensor, num_arms: int, subtask: str) -> Tensor:
    """Map `u` [N, 6] and `side` [N] to goal poses [N, 7] m, wxyz."""
    position = goal_position(u[:, :3], side, num_arms, subtask)
    return torch.cat((position, goal_quaternion(u[:, 3:], subtask)), dim=-1)
