"""The maze: its plan, its walls, and that its straight way is a dead end."""

from __future__ import annotations

from typing import List, Tuple

import pytest
import torch
from torch import Tensor

from tasks.classic.config import DeceptiveMazeCfg
from tasks.classic.maze import STEP_M
from tasks.classic.maze_layout import plan
from tests.tasks.classic.worlds import make, random_actions

DEFAULT = """
.........
....###..
......#..
.S....#.G
......#..
....###..
.........
"""


def walk(env, way: List[Tuple[float, float]]) -> Tuple[float, bool]:
    """Go from point to point, all environments alike: return of the first, and whether it ended."""
    env.reset()
    total = 0.0
    for target in way:
        for _ in range(80):
            gap = torch.tensor(target)[:, None] - env.state[:2]
            step = env.step((gap / STEP_M).t())
            total += float(step.reward[0])
            if step.terminated[0]:
                return total, True
            if gap.abs().max() < 0.05:
                break
    return total, False


def cells(env) -> Tensor:
    """Letters' indices of where the robots are."""
    rows = env.task.rows
    is_wall = torch.tensor([[letter == "#" for letter in row] for row in rows])
    x, y = env.state[:2].long()
    return is_wall[y, x]


def test_default_maze_is_as_drawn():
    assert plan(DeceptiveMazeCfg()).rows[-2:0:-1] == [f"#{row}#" for row in DEFAULT.split()]


@pytest.mark.parametrize("depth", [0, 1, 3, 5])
def test_trap_is_as_deep_as_asked(depth: int):
    rows = plan(DeceptiveMazeCfg(trap_depth=depth)).rows
    assert rows[2].count("#") == 2 + 1 + depth  # the walls of the hall, of the trap, its end


def test_straight_way_is_a_dead_end_and_the_detour_pays():
    env = make("DeceptiveMaze", num_envs=1)
    env.reset()
    env.state[:2, 0] = torch.tensor([2.5, 4.5])
    # Walls included the start is at (2.5, 4.5), the goal at (9.5, 4.5), the dead end at x = 7.
    straight, is_there = walk(env, [(9.5, 4.5)])
    assert not is_there
    assert straight == pytest.approx(4.5 / 7.0, abs=0.06)
    detour, is_there = walk(env, [(2.5, 1.5), (8.5, 1.5), (9.5, 4.5)])
    assert is_there
    # All of the approach but for the goal's radius, and 1 for the goal.
    assert detour == pytest.approx(2.0 - 0.5 / 7.0, abs=0.05)


def test_sparse_reward_is_for_the_goal_alone():
    env = make("DeceptiveMaze", "task.reward=sparse", num_envs=1)
    assert walk(env, [(9.5, 4.5)]) == (0.0, False)
    assert walk(env, [(2.5, 1.5), (8.5, 1.5), (9.5, 4.5)]) == (1.0, True)


@pytest.mark.parametrize("push", [0.0, 1.0, -1.0])
def test_nobody_gets_into_a_wall(push: float):
    env = make("DeceptiveMaze", "task.trap_depth=4", num_envs=512)
    env.reset()
    for action in random_actions(env, 150):
        env.step(action + push)
        assert not cells(env).any()
        assert torch.isfinite(env.state).all()


def test_robot_slides_along_a_wall_and_stops_in_a_corner():
    env = make("DeceptiveMaze", num_envs=1)
    env.reset()
    env.state[:2, 0] = torch.tensor([1.3, 3.5])
    for _ in range(3):
        env.step(torch.tensor([[-1.0, 1.0]]))
    assert env.state[:2, 0].tolist() == pytest.approx([1.01, 4.25])
    for _ in range(20):
        env.step(torch.tensor([[-1.0, 1.0]]))
    assert env.state[:2, 0].tolist() == pytest.approx([1.01, 7.99])


def test_own_layout_with_several_starts_and_goals():
    env = make("DeceptiveMaze", "task.layout=['S.#G','S..G']", num_envs=200)
    env.reset()
    starts = {(int(x), int(y)) for x, y in env.state[:2].t().tolist()}
    goals = {(x, y) for x, y in env.state[2:4].t().tolist()}
    assert starts == {(1, 1), (1, 2)}
    assert goals == {(4.5, 1.5), (4.5, 2.5)}
    # The first line is the top: the wall is in the upper row.
    assert env.task.rows[2] == "#S.#G#"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("task.trap_depth=6", "task.trap_depth=6 .*no way out of the trap; use at most 5"),
        ("task.trap_depth=-1", "task.trap_depth=-1 .*at least 0"),
        ("task.trap_width=5", "task.trap_width=5 .*no way past the trap; use a task.width of 9"),
        ("task.trap_width=4", "task.trap_width=4 .*odd"),
        ("task.width=6", "task.width=6 .*odd"),
        ("task.length=4", "task.length=4 .*at least 5"),
        ("task.layout=['S#G']", "task.layout=.*no path leads from an S to a G"),
        ("task.layout=['S.G','###','S..']", "task.layout=.*no path"),
        ("task.layout=['S.G','##']", "task.layout=.*equal length"),
        ("task.layout=[]", "task.layout=.*equal length"),
        ("task.layout=['S.x']", "task.layout=.*unknown letter 'x'; use # . S G"),
        ("task.layout=['S..']", "task.layout=.*has no G"),
        ("task.layout=['..G']", "task.layout=.*has no S"),
    ],
)
def test_maze_without_a_way_is_one_line(setting: str, message: str):
    with pytest.raises(ValueError, match=message) as error:
        make("DeceptiveMaze", setting)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("setting", ["task.trap_depth=5", "task.width=9", "task.length=5"])
def test_largest_trap_that_the_message_names_is_open(setting: str):
    extra = {"task.width=9": "task.trap_width=5", "task.length=5": "task.trap_depth=1"}
    make("DeceptiveMaze", setting, extra.get(setting, "task.reward=dense"))
