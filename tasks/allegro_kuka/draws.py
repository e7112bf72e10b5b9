"""All randomness of the task behind one contract, so that a recorded episode can be replayed."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Protocol, Tuple

import torch
from torch import Tensor

from tasks.allegro_kuka import forces, goals, resets
from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.allegro_kuka.geometry import Rows, random_quaternion


class Start(NamedTuple):
    """Robot state at the start of an episode.

    Attributes:
        joint_pos: [N, 23 A] rad; also the first joint targets.
        joint_vel: [N, 23 A] rad/s.
        force_probability: [N] chance of a new random force per control step.
    """

    joint_pos: Tensor
    joint_vel: Tensor
    force_probability: Tensor


class Draws(Protocol):
    """Random values for M environments, those of `rows`, or for all N."""

    def start(self, rows: Rows) -> Start:
        """Draw the robot's state at the start of an episode."""
        ...

    def object_pose(self, rows: Rows) -> Tensor:
        """Draw where the object is put: [M, 7] m, wxyz."""
        ...

    def goal_pose(self, rows: Rows) -> Tensor:
        """Draw goals: [M, 7] m, wxyz."""
        ...

    def force(self, probability: Tensor) -> Tuple[Tensor, Tensor]:
        """Draw which objects are hit [N] bool and standard normal forces [N, 3]."""
        ...

    def state_dict(self) -> Dict[str, Any]:
        """Everything that changes."""
        ...

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        ...


class RandomDraws:
    """Draws from a random generator on the device."""

    def __init__(
        self,
        cfg: AllegroKukaCfg,
        half_size: Tensor,
        lower: Tensor,
        upper: Tensor,
        generator: torch.Generator,
    ) -> None:
        """Draw for the environments of a run.

        Args:
            cfg: the task.
            half_size: [N, 3] half edges of the boxes, m.
            lower: [23 A] joint limits, rad.
            upper: [23 A] joint limits, rad.
            generator: source of all numbers, on the device of the tensors.
        """
        self.cfg = cfg
        self.half_size = half_size
        self.lower, self.upper = lower, upper
        self.num_joints = len(lower)
        self.device = half_size.device
        self.default = resets.default_posture(cfg.num_arms, self.device)
        self.noise = resets.joint_noise(cfg.num_arms, cfg.reset.arm, cfg.reset.hand, self.device)
        self.generator = generator

    def start(self, rows: Rows) -> Start:
        """Draw the robot's state at the start of an episode."""
        u = self._uniform(2 * self.num_joints + 1, rows)
        u_joint = u[:, : self.num_joints]
        if self.cfg.reset.at_object:
            position = resets.posture_at_object(u_joint)
        else:
            position = resets.joint_position(
                u_joint, self.default, self.lower, self.upper, self.noise
            )
        if self.cfg.clamp_reset_joints:
            position = position.clamp(self.lower, self.upper)
        force = self.cfg.force
        return Start(
            joint_pos=position,
            joint_vel=self.cfg.reset.joint_velocity * (2.0 * u[:, self.num_joints : -1] - 1.0),
            force_probability=forces.hit_probability(
                u[:, -1], force.min_probability, force.max_probability
            ),
        )

    def object_pose(self, rows: Rows) -> Tensor:
        """Draw where the object is put: [M, 7] m, wxyz."""
        u = self._uniform(7, rows)
        noise = self.cfg.reset
        if noise.at_object:
            return resets.pose_at_hand(
                2.0 * u[:, :2] - 1.0,
                _side(u[:, 6]),
                self.half_size[rows],
                noise.object_xy_m,
                self.cfg.num_arms,
            )
        position = resets.object_position(
            2.0 * u[:, :3] - 1.0,
            _side(u[:, 6]),
            noise.object_xy_m,
            noise.object_z_m,
            self.cfg.num_arms,
        )
        quat = random_quaternion(u[:, 3:6])
        if self.cfg.raise_spawn:
            position = resets.raise_above_table(position, quat, self.half_size[rows])
        return torch.cat((position, quat), dim=-1)

    def goal_pose(self, rows: Rows) -> Tensor:
        """Draw goals: [M, 7] m, wxyz."""
        u, cfg = self._uniform(7, rows), self.cfg
        u[:, :3] = 0.5 + cfg.goal_extent * (u[:, :3] - 0.5)
        return goals.goal_pose(u[:, :6], _side(u[:, 6]), cfg.num_arms, cfg.subtask)

    def force(self, probability: Tensor) -> Tuple[Tensor, Tensor]:
        """Draw which objects are hit [N] bool and standard normal forces [N, 3]."""
        num = len(probability)
        normal = torch.randn(num, 3, generator=self.generator, device=self.device)
        return self._uniform(1, slice(None))[:, 0] < probability, normal

    def state_dict(self) -> Dict[str, Any]:
        """Return the state of the generator."""
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self.generator.set_state(state["generator"].cpu())

    def _uniform(self, width: int, rows: Rows) -> Tensor:
        """Draw [M, width] in [0, 1); environments lie innermost in memory, see `geometry`."""
        num = len(self.half_size[rows])
        return torch.rand(width, num, generator=self.generator, device=self.device).T


def _side(u: Tensor) -> Tensor:
    """Map `u` [N] in [0, 1) to -1 or 1."""
    return torch.where(u < 0.5, -1.0, 1.0)
