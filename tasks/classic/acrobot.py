"""Acrobot: Gymnasium's Acrobot-v1."""

from __future__ import annotations

import math
from typing import Sequence

import torch
from torch import Tensor

from tasks.classic import shapes
from tasks.classic.config import AcrobotCfg
from tasks.classic.shapes import Picture
from tasks.classic.task import Outcome

DT_S = 0.2
LENGTH_M, CENTER_M, MASS_KG, INERTIA, GRAVITY = 1.0, 0.5, 1.0, 1.0, 9.8
"""Of either link: length, place of its centre of mass, mass, moment of inertia (kg m^2)."""
MAX_SPEEDS = (4.0 * math.pi, 9.0 * math.pi)
"""rad/s."""
LINE_M = 1.0
"""Height above the fixed joint that the tip must pass."""


class Acrobot:
    """State: angle of the first link from hanging down, of the second from the first, speeds.

    Observation: cosine and sine of both angles, speeds. Action: index of the torque on the middle
    joint, -1, 0 or 1 N m.

    Source: Gymnasium 1.4, envs/classic_control/acrobot.py, the equations of the book (Sutton &
    Barto 2018, section 11.3 of the first edition).
    """

    observation_dim, action_dim, num_choices = 6, 1, 3
    num_random, idle_action, control_dt_s = 4, 1.0, DT_S
    success_metric = "solved"

    def __init__(self, cfg: AcrobotCfg, device: torch.device) -> None:
        """Use neither argument."""

    def begin(self, uniform: Tensor) -> Tensor:
        """Hang almost still: all four numbers from -0.1 to 0.1."""
        return 0.2 * uniform - 0.1

    def advance(self, state: Tensor, action: Tensor) -> Outcome:
        """Integrate by one step of the classic Runge-Kutta method; -1 until the line is passed."""
        torque = action[0] - 1.0
        k1 = _slope(state, torque)
        k2 = _slope(torch.add(state, k1, alpha=0.5 * DT_S), torque)
        k3 = _slope(torch.add(state, k2, alpha=0.5 * DT_S), torque)
        k4 = _slope(torch.add(state, k3, alpha=DT_S), torque)
        # s' = s + dt/6 (k1 + 2 k2 + 2 k3 + k4)
        k1.add_(k2.add_(k3), alpha=2.0).add_(k4)
        state = torch.add(state, k1, alpha=DT_S / 6.0)
        state[:2] = torch.remainder(state[:2] + math.pi, 2.0 * math.pi) - math.pi
        for row, limit in zip((2, 3), MAX_SPEEDS):
            state[row].clamp_(-limit, limit)
        height = -torch.cos(state[0]) - torch.cos(state[0] + state[1])
        terminated = height > LINE_M
        return Outcome(state, terminated.to(state.dtype) - 1.0, terminated)

    def observe(self, state: Tensor) -> Tensor:
        """Return cosine and sine of both angles, and the speeds [N, 6]."""
        cos, sin = torch.cos(state[:2]), torch.sin(state[:2])
        return torch.stack((cos[0], sin[0], cos[1], sin[1], state[2], state[3]), dim=-1)

    def picture(self, state: Sequence[float]) -> Picture:
        """Show both links and the line."""
        first = state[0] - 0.5 * math.pi
        points = shapes.chain((0.0, 0.0), (first, first + state[1]), (LENGTH_M, LENGTH_M))
        line = shapes.Line([(-2.2, LINE_M), (2.2, LINE_M)], 0.03, shapes.GOAL)
        return Picture((-2.2, -2.2), (2.2, 2.2), [line, *shapes.limbs(points, 0.18)])


def _slope(state: Tensor, torque: Tensor) -> Tensor:
    """Return the time derivative [4, N] of the state; in place where it can be, for speed."""
    angle1, angle2, speed1, speed2 = state
    sin1, sin2 = torch.sin(state[:2])
    coupling = MASS_KG * LENGTH_M * CENTER_M
    own = MASS_KG * CENTER_M**2 + INERTIA
    # d2 = m (lc^2 + l lc cos th2) + I,  d1 = m lc^2 + m (l^2 + lc^2 + 2 l lc cos th2) + 2 I
    d2 = torch.cos(angle2).mul_(coupling).add_(own)
    d1 = (2.0 * d2).add_(MASS_KG * LENGTH_M**2)
    share = d2 / d1
    lever = coupling * sin2
    # phi2 = m lc g sin(th1 + th2)
    phi2 = torch.sin(angle1 + angle2).mul_(MASS_KG * CENTER_M * GRAVITY)
    # phi1 = -m l lc (w2^2 + 2 w1 w2) sin th2 + (m lc + m l) g sin th1 + phi2
    whirl = torch.add(speed2, speed1, alpha=2.0).mul_(speed2)
    phi1 = torch.add(phi2, sin1, alpha=MASS_KG * (CENTER_M + LENGTH_M) * GRAVITY)
    phi1.addcmul_(lever, whirl, value=-1.0)
    # a2 = (u + d2/d1 phi1 - m l lc w1^2 sin th2 - phi2) / (m lc^2 + I - d2^2/d1)
    drive = (torque - phi2).addcmul_(share, phi1)
    drive.addcmul_(lever.mul_(speed1), speed1, value=-1.0)
    acceleration2 = drive.div_((d2 * share).neg_().add_(own))
    # a1 = -(d2 a2 + phi1) / d1
    acceleration1 = phi1.addcmul_(d2, acceleration2).div_(d1).neg_()
    return torch.stack((speed1, speed2, acceleration1, acceleration2))
