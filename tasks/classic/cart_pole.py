"""CartPoleSwingUp: Gymnasium's cart and pole, started with the pole down."""

from __future__ import annotations

import math
from typing import Sequence

import torch
from torch import Tensor

from tasks.classic import shapes
from tasks.classic.config import CartPoleSwingUpCfg
from tasks.classic.shapes import Picture
from tasks.classic.task import Outcome

GRAVITY, POLE_KG, CART_KG, HALF_POLE_M, MAX_FORCE, DT_S = 9.8, 0.1, 1.0, 0.5, 10.0, 0.02
TOTAL_KG, POLE_MOMENT = POLE_KG + CART_KG, POLE_KG * HALF_POLE_M
END_M = 2.4
"""Distance from the middle at which the rail ends."""


class CartPoleSwingUp:
    """State: position (m), speed, angle of the pole from upright (rad), its speed.

    Observation: position, speed, cosine and sine of the angle, its speed. Action: force, 10 N at 1.
    Reward: the height of the pole's end, 0 hanging to 1 upright. The end of the rail ends the
    episode.

    Source: the dynamics of Gymnasium 1.4, envs/classic_control/cartpole.py (explicit Euler).
    Deviates: any force in between, start, reward, and no end where the pole falls.
    """

    observation_dim, action_dim, num_choices = 5, 1, 0
    num_random, idle_action, control_dt_s = 4, 0.0, DT_S
    success_metric = ""

    def __init__(self, cfg: CartPoleSwingUpCfg, device: torch.device) -> None:
        """Use neither argument."""

    def begin(self, uniform: Tensor) -> Tensor:
        """Hang almost still: all numbers within 0.05, the angle around pi."""
        state = 0.1 * uniform - 0.05
        state[2] += math.pi
        return state

    def advance(self, state: Tensor, action: Tensor) -> Outcome:
        """Push the cart."""
        _, speed, angle, turn = state
        cos, sin = torch.cos(angle), torch.sin(angle)
        # t = (F + m l w^2 sin th) / M,  a_th = (g sin th - t cos th) / (l (4/3 - m cos^2 th / M))
        push = (MAX_FORCE * action[0] + POLE_MOMENT * turn.square() * sin) / TOTAL_KG
        inertia = HALF_POLE_M * (4.0 / 3.0 - POLE_KG / TOTAL_KG * cos.square())
        turn_rate = (GRAVITY * sin - push * cos) / inertia
        # a_x = t - m l a_th cos th / M
        rate = push - POLE_MOMENT / TOTAL_KG * turn_rate * cos
        slope = torch.stack((speed, rate, turn, turn_rate))
        state = state + DT_S * slope
        reward = 0.5 + 0.5 * torch.cos(state[2])
        return Outcome(state, reward, state[0].abs() > END_M)

    def observe(self, state: Tensor) -> Tensor:
        """Return position, speed, cosine, sine and turning speed [N, 5]."""
        position, speed, angle, turn = state
        columns = (position, speed, torch.cos(angle), torch.sin(angle), turn)
        return torch.stack(columns, dim=-1)

    def picture(self, state: Sequence[float]) -> Picture:
        """Show rail, cart and pole."""
        x, angle = state[0], 0.5 * math.pi - state[2]
        points = shapes.chain((x, 0.0), (angle,), (2.0 * HALF_POLE_M,))
        rail = shapes.Line([(-END_M, 0.0), (END_M, 0.0)], 0.04, shapes.RAIL)
        ends = [shapes.box((e - 0.03, -0.2), (e + 0.03, 0.2), shapes.WALL) for e in (-END_M, END_M)]
        cart = shapes.box((x - 0.25, -0.12), (x + 0.25, 0.12), shapes.JOINT)
        pole = shapes.limbs(points, 0.11)
        return Picture((-2.6, -1.2), (2.6, 1.2), [rail, *ends, cart, *pole])
