"""Pendulum: Gymnasium's Pendulum-v1."""

from __future__ import annotations

import math
from typing import Sequence

import torch
from torch import Tensor

from tasks.classic import shapes
from tasks.classic.config import PendulumCfg
from tasks.classic.shapes import Picture
from tasks.classic.task import Outcome

GRAVITY, MASS_KG, LENGTH_M, DT_S = 10.0, 1.0, 1.0, 0.05
MAX_TORQUE, MAX_SPEED = 2.0, 8.0
"""N m; rad/s."""


class Pendulum:
    """State: angle from upright (rad) and its speed (rad/s). Action: torque.

    Observation: cosine and sine of the angle, speed.

    Source: Gymnasium 1.4, envs/classic_control/pendulum.py.
    """

    observation_dim, action_dim, num_choices = 3, 1, 0
    num_random, idle_action, control_dt_s = 2, 0.0, DT_S
    success_metric = ""

    def __init__(self, cfg: PendulumCfg, device: torch.device) -> None:
        """Use neither argument."""

    def begin(self, uniform: Tensor) -> Tensor:
        """Begin at any angle, with a speed from -1 to 1 rad/s."""
        angle, speed = 2.0 * uniform - 1.0
        return torch.stack((math.pi * angle, speed))

    def advance(self, state: Tensor, action: Tensor) -> Outcome:
        """Turn; the reward is minus the cost of the state before."""
        angle, speed = state
        torque = MAX_TORQUE * action[0]
        # r = -(th^2 + 0.1 w^2 + 0.001 u^2), th in [-pi, pi)
        error = torch.remainder(angle + math.pi, 2.0 * math.pi) - math.pi
        reward = -(error.square() + 0.1 * speed.square() + 0.001 * torque.square())
        # w' = w + (3 g / 2 l sin th + 3 / (m l^2) u) dt,  th' = th + w' dt
        pull = 1.5 * GRAVITY / LENGTH_M * torch.sin(angle)
        push = 3.0 / (MASS_KG * LENGTH_M**2) * torque
        speed = (speed + DT_S * (pull + push)).clamp_(-MAX_SPEED, MAX_SPEED)
        state = torch.stack((angle + DT_S * speed, speed))
        return Outcome(state, reward, torch.zeros_like(reward, dtype=torch.bool))

    def observe(self, state: Tensor) -> Tensor:
        """Return cosine, sine and speed [N, 3]."""
        angle, speed = state
        return torch.stack((torch.cos(angle), torch.sin(angle), speed), dim=-1)

    def picture(self, state: Sequence[float]) -> Picture:
        """Show the rod, and a mark where it should stand."""
        # Counted against the clock from the upright position.
        points = shapes.chain((0.0, 0.0), (0.5 * math.pi + state[0],), (LENGTH_M,))
        mark = shapes.Disc((0.0, 1.0), 0.13, shapes.GOAL)
        return Picture((-1.2, -1.2), (1.2, 1.2), [mark, *shapes.limbs(points, 0.16)])
