"""SparseReach: a planar arm that is paid only where its tip meets the goal."""

from __future__ import annotations

import math
from typing import Sequence, Tuple

import torch
from torch import Tensor

from tasks.classic import shapes
from tasks.classic.config import SparseReachCfg
from tasks.classic.shapes import Picture
from tasks.classic.task import Outcome, distance

DT_S = 0.05
ACCELERATION, DAMPING_HZ = 8.0, 2.0
"""Of every joint: rad/s^2 at action 1; share of its speed that is lost per second."""


class SparseReach:
    """Joints that accelerate, each for itself, without gravity, contacts and limits.

    State: angles of J joints (rad), their speeds (rad/s), goal [2] and tip [2], m. The arm begins
    stretched out along x, at rest. Observation: cosines of the angles, their sines, speeds, goal
    and tip, m. Action: acceleration of every joint. The fastest that a joint can turn is 4 rad/s.
    """

    num_choices, num_random, idle_action, control_dt_s = 0, 1, 0.0, DT_S
    success_metric = "successes"

    def __init__(self, cfg: SparseReachCfg, device: torch.device) -> None:
        self.num_joints = cfg.num_joints
        self.goal_distance_m = cfg.goal_distance_m
        self.goal_radius_m = cfg.goal_radius_m
        self.goal_spread_rad = cfg.goal_spread_rad
        self.link_m = 1.0 / cfg.num_joints
        self.action_dim = cfg.num_joints
        self.observation_dim = 3 * cfg.num_joints + 4

    def begin(self, uniform: Tensor) -> Tensor:
        """Stretch out the arm and draw a goal behind it."""
        joints = torch.zeros_like(uniform).expand(2 * self.num_joints, -1)
        direction = math.pi + self.goal_spread_rad * (2.0 * uniform - 1.0)
        goal = torch.cat((torch.cos(direction), torch.sin(direction))).mul_(self.goal_distance_m)
        tip = torch.cat((torch.ones_like(uniform), torch.zeros_like(uniform)))
        return torch.cat((joints, goal, tip))

    def advance(self, state: Tensor, action: Tensor) -> Outcome:
        """Turn the joints; 1 where the tip is at the goal."""
        angle, speed, goal = self._parts(state)
        # w' = w + (8 a - 2 w) dt,  q' = q + w' dt
        speed = torch.add((1.0 - DT_S * DAMPING_HZ) * speed, action, alpha=DT_S * ACCELERATION)
        angle = torch.add(angle, speed, alpha=DT_S)
        tip = self._tip(angle)
        terminated = distance(goal, tip) < self.goal_radius_m
        state = torch.cat((angle, speed, goal, tip))
        return Outcome(state, terminated.to(state.dtype), terminated)

    def observe(self, state: Tensor) -> Tensor:
        """Return cosines, sines, speeds, goal and tip [N, 3 J + 4]."""
        angle = state[: self.num_joints]
        rows = (torch.cos(angle), torch.sin(angle), state[self.num_joints :])
        return torch.cat(rows).t().contiguous()

    def picture(self, state: Sequence[float]) -> Picture:
        """Show arm and goal."""
        angles = [sum(state[: i + 1]) for i in range(self.num_joints)]
        points = shapes.chain((0.0, 0.0), angles, [self.link_m] * self.num_joints)
        goal = shapes.Disc((state[-4], state[-3]), self.goal_radius_m, shapes.GOAL)
        return Picture((-1.1, -1.1), (1.1, 1.1), [goal, *shapes.limbs(points, 0.06)])

    def _parts(self, state: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Return angles [J, N], speeds [J, N] and goal [2, N]."""
        return state[: self.num_joints], state[self.num_joints : -4], state[-4:-2]

    def _tip(self, angle: Tensor) -> Tensor:
        """Return the places [2, N] of the tip, m, from angles [J, N]."""
        # p = l sum_i (cos, sin)(q_1 + ... + q_i)
        direction = angle.cumsum(0)
        tip = torch.stack((torch.cos(direction).sum(0), torch.sin(direction).sum(0)))
        return self.link_m * tip
