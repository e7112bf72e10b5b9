"""MountainCarContinuous: Gymnasium's MountainCarContinuous-v0."""

from __future__ import annotations

import math
from typing import Sequence

import torch
from torch import Tensor

from tasks.classic import shapes
from tasks.classic.config import MountainCarContinuousCfg
from tasks.classic.shapes import Picture, Point
from tasks.classic.task import Outcome

POWER, GRAVITY = 0.0015, 0.0025
"""Velocity per control step that a full action and the steepest slope give."""
LEFT, RIGHT, GOAL = -1.2, 0.6, 0.45
"""Positions of the ends and of the goal."""
MAX_SPEED = 0.07
GOAL_REWARD = 100.0
NUM_POINTS = 60
"""Of the drawn hill."""


class MountainCarContinuous:
    """State: position and velocity (per control step). Observation: the same. Action: force.

    Source: Gymnasium 1.4, envs/classic_control/continuous_mountain_car.py. Deviates: the cost of
    an action is a setting.
    """

    observation_dim, action_dim, num_choices = 2, 1, 0
    num_random, idle_action, control_dt_s = 1, 0.0, 1.0 / 30.0
    success_metric = "solved"

    def __init__(self, cfg: MountainCarContinuousCfg, device: torch.device) -> None:
        self.action_cost = cfg.action_cost

    def begin(self, uniform: Tensor) -> Tensor:
        """Stand still near the bottom, at -0.6 to -0.4."""
        return torch.cat((-0.6 + 0.2 * uniform, torch.zeros_like(uniform)))

    def advance(self, state: Tensor, action: Tensor) -> Outcome:
        """Push the car; 100 at the goal, less the cost of the action."""
        position, velocity = state
        (force,) = action
        # v' = v + 0.0015 a - 0.0025 cos(3 x),  x' = x + v'
        velocity = velocity + POWER * force - GRAVITY * torch.cos(3.0 * position)
        velocity = velocity.clamp_(-MAX_SPEED, MAX_SPEED)
        position = (position + velocity).clamp_(LEFT, RIGHT)
        is_stopped = (position <= LEFT) & (velocity < 0.0)
        velocity = velocity.masked_fill_(is_stopped, 0.0)
        terminated = (position >= GOAL) & (velocity >= 0.0)
        reward = GOAL_REWARD * terminated - self.action_cost * force.square()
        return Outcome(torch.stack((position, velocity)), reward, terminated)

    def observe(self, state: Tensor) -> Tensor:
        """Return position and velocity [N, 2]."""
        return state.t().contiguous()

    def picture(self, state: Sequence[float]) -> Picture:
        """Show the hill, the flag and the car."""
        xs = [LEFT + (RIGHT - LEFT) * i / NUM_POINTS for i in range(NUM_POINTS + 1)]
        hill = [(LEFT, -0.1), *((x, _height(x)) for x in xs), (RIGHT, -0.1)]
        top, x = _height(GOAL), state[0]
        flag = [(GOAL, top + 0.2), (GOAL + 0.1, top + 0.165), (GOAL, top + 0.13)]
        drawn = [
            shapes.Area(hill, shapes.GROUND),
            shapes.Line([(GOAL, top), (GOAL, top + 0.2)], 0.012, shapes.WALL),
            shapes.Area(flag, shapes.GOAL),
            shapes.Line([_on_car(x, d, 0.05) for d in (-0.06, 0.06)], 0.055, shapes.BODY),
            *(shapes.Disc(_on_car(x, d, 0.02), 0.022, shapes.JOINT) for d in (-0.04, 0.04)),
        ]
        return Picture((LEFT, -0.1), (RIGHT, 1.25), drawn)


def _on_car(position: float, along: float, above: float) -> Point:
    """Return a point of a car, m along the slope and above it."""
    slope = math.atan(3.0 * 0.45 * math.cos(3.0 * position))
    cos, sin = math.cos(slope), math.sin(slope)
    return position + along * cos - above * sin, _height(position) + along * sin + above * cos


def _height(position: float) -> float:
    return 0.45 * math.sin(3.0 * position) + 0.55
