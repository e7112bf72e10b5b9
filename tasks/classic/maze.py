"""DeceptiveMaze: a point robot whose straight way to the goal is a dead end."""

from __future__ import annotations

from typing import List, Sequence

import torch
from torch import Tensor

from tasks.classic import maze_layout, shapes
from tasks.classic.config import DeceptiveMazeCfg
from tasks.classic.shapes import Picture
from tasks.classic.task import Outcome, distance

STEP_M = 0.25
"""Most that a component of the position changes per control step: below a cell, so that no wall
is jumped over."""
GOAL_M = 0.5
"""Radius of the goal."""
MARGIN_M = 0.01
"""Distance that the robot keeps to a wall that it ran into."""
START_M = 0.5
"""Side of the square in the middle of its cell where an episode begins."""


class DeceptiveMaze:
    """A point that is told how far to move; what would end in a wall ends before it.

    State: position [2], goal [2], distance between both now and at the start, m. Observation:
    position from the middle of the maze and goal from the position, in halves of the larger side.
    Action: velocity, 0.25 m per control step at 1. The x component is moved first, then y: the
    robot slides along walls.
    """

    observation_dim, action_dim, num_choices = 4, 2, 0
    num_random, idle_action, control_dt_s = 4, 0.0, 0.05
    success_metric = "successes"

    def __init__(self, cfg: DeceptiveMazeCfg, device: torch.device) -> None:
        plan = maze_layout.plan(cfg)
        self.rows = plan.rows
        self.is_dense = cfg.reward == "dense"
        height, width = len(plan.rows), len(plan.rows[0])
        self._width = width
        self._size = (float(width), float(height))
        self._scale = 2.0 / max(width, height)
        letters = "".join(plan.rows)
        is_wall = [letter == maze_layout.WALL for letter in letters]
        self._is_wall = torch.tensor(is_wall, device=device)
        # [2, number of cells]
        self._starts, self._goals = (
            torch.tensor(cells, dtype=torch.float32, device=device).t() + 0.5
            for cells in (plan.starts, plan.goals)
        )

    def begin(self, uniform: Tensor) -> Tensor:
        """Draw a start, a place in it and a goal."""
        position = _pick(self._starts, uniform[2]) + START_M * (uniform[:2] - 0.5)
        goal = _pick(self._goals, uniform[3])
        way = distance(goal, position)[None]
        return torch.cat((position, goal, way, way))

    def advance(self, state: Tensor, action: Tensor) -> Outcome:
        """Move; reward by the approach to the goal and for reaching it, see the settings."""
        x, y, _, _, before, start = state
        shift = STEP_M * action
        row = y.long().mul_(self._width)
        x = self._slide(x, shift[0], row, 1)
        y = self._slide(y, shift[1], x.long(), self._width)
        position = torch.stack((x, y))
        after = distance(state[2:4], position)
        terminated = after < GOAL_M
        reward = terminated.to(state.dtype)
        if self.is_dense:
            reward.add_((before - after).div_(start))
        state = torch.cat((position, state[2:4], after[None], start[None]))
        return Outcome(state, reward, terminated)

    def observe(self, state: Tensor) -> Tensor:
        """Return position and way to the goal [N, 4]."""
        x, y, goal_x, goal_y, _, _ = state
        columns = (x - 0.5 * self._size[0], y - 0.5 * self._size[1], goal_x - x, goal_y - y)
        return torch.stack(columns, dim=-1).mul_(self._scale)

    def picture(self, state: Sequence[float]) -> Picture:
        """Show walls, goal and robot."""
        walls: List[shapes.Area] = [
            shapes.box((x, y), (x + 1, y + 1), shapes.WALL)
            for y, row in enumerate(self.rows)
            for x, letter in enumerate(row)
            if letter == maze_layout.WALL
        ]
        goal = shapes.Disc((state[2], state[3]), GOAL_M, shapes.GOAL)
        robot = shapes.Disc((state[0], state[1]), 0.15, shapes.BODY)
        return Picture((0.0, 0.0), self._size, [*walls, goal, robot])

    def _slide(self, place: Tensor, shift: Tensor, offset: Tensor, stride: int) -> Tensor:
        """Move along one axis, up to `MARGIN_M` before a wall.

        Args:
            place: [N] coordinate along the axis, m.
            shift: [N] wanted change, m, smaller than a cell.
            offset: [N] index in `_is_wall` of the cell in this line whose coordinate is 0.
            stride: between neighbours along the axis.
        """
        wanted, cell = place + shift, place.floor()
        index = wanted.long().mul_(stride).add_(offset)
        is_blocked = self._is_wall.index_select(0, index)
        nearest = torch.clamp(wanted, cell + MARGIN_M, cell + (1.0 - MARGIN_M))
        return torch.where(is_blocked, nearest, wanted)


def _pick(places: Tensor, uniform: Tensor) -> Tensor:
    """Draw one of the places [2, P] for every environment: [2, N]."""
    places = places.to(uniform)
    if places.shape[1] == 1:
        return places.expand(-1, len(uniform))
    return places[:, (uniform * places.shape[1]).long()]
