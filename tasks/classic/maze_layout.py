"""The plan of a maze: letters in rows, drawn from sizes or given, and whether there is a way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable, List, NamedTuple, Set, Tuple

from tasks.errors import refuse

if TYPE_CHECKING:
    from tasks.classic.config import DeceptiveMazeCfg

WALL, FLOOR, START, GOAL = "#.SG"
Cell = Tuple[int, int]
"""Column and row."""
START_COLUMN = 1
GOAL_GAP = 2
"""Cells between the trap's wall and the end of the hall; the goal is in the last."""


class Plan(NamedTuple):
    """A maze in cells of 1 m, walls all around included.

    Attributes:
        rows: letters of every row, all of one length; the first is at the bottom, y = 0.
        starts, goals: cells where an episode may begin and must end.
    """

    rows: List[str]
    starts: List[Cell]
    goals: List[Cell]


def plan(cfg: DeceptiveMazeCfg) -> Plan:
    """Draw the maze that the settings describe, in walls."""
    inside = u_trap(cfg) if cfg.layout is None else list(cfg.layout)
    border = WALL * (len(inside[0]) + 2)
    # As it is written, the first line is the top.
    rows = [border, *(f"{WALL}{row}{WALL}" for row in reversed(inside)), border]
    return Plan(rows, _cells(rows, START), _cells(rows, GOAL))


def u_trap(cfg: DeceptiveMazeCfg) -> List[str]:
    """Draw a hall with a U between start and goal, without the walls around it.

    Example: length 9, width 7, trap_depth 2, trap_width 3::

        .........
        ....###..
        ......#..
        .S....#.G
        ......#..
        ....###..
        .........
    """
    middle, wall = cfg.width // 2, cfg.length - GOAL_GAP - 1
    arm = cfg.trap_width // 2 + 1
    rows = []
    for y in range(cfg.width):
        row = [FLOOR] * cfg.length
        if abs(y - middle) <= arm:
            row[wall] = WALL
        if abs(y - middle) == arm:
            begin = max(wall - cfg.trap_depth, 0)
            row[begin:wall] = [WALL] * (wall - begin)
        if y == middle:
            row[START_COLUMN], row[-1] = START, GOAL
        rows.append("".join(row))
    return rows


def check(cfg: DeceptiveMazeCfg) -> None:
    """Refuse sizes and letters that make no maze, and a maze without a way.

    Raises:
        ValueError: naming the setting, its value and the way out.
    """
    if cfg.layout is None:
        _check_sizes(cfg)
    else:
        _check_letters(cfg.layout)
    found = plan(cfg)
    for start in found.starts:
        reached = _reachable(found.rows, start)
        if not reached.issuperset(found.goals):
            _refuse_closed(cfg)


def _check_sizes(cfg: DeceptiveMazeCfg) -> None:
    least_length = START_COLUMN + 1 + 1 + GOAL_GAP
    for name, value, least in (
        ("length", cfg.length, least_length),
        ("width", cfg.width, 1),
        ("trap_depth", cfg.trap_depth, 0),
        ("trap_width", cfg.trap_width, 1),
    ):
        if value < least:
            refuse(f"task.{name}", value, f"use at least {least}")
    for name, value in (("width", cfg.width), ("trap_width", cfg.trap_width)):
        if value % 2 == 0:
            refuse(f"task.{name}", value, "start and goal are in the middle; use an odd number")


def _check_letters(layout: List[str]) -> None:
    letters = set("".join(layout))
    if len({len(row) for row in layout}) != 1 or not letters:
        refuse("task.layout", layout, "give rows of equal length")
    unknown = letters - {WALL, FLOOR, START, GOAL}
    if unknown:
        refuse("task.layout", layout, f"unknown letter {min(unknown)!r}; use # . S G")
    for letter in (START, GOAL):
        if letter not in letters:
            refuse("task.layout", layout, f"it has no {letter}; S is the start, G the goal")


def _refuse_closed(cfg: DeceptiveMazeCfg) -> None:
    """Return what closes the way, and the largest value that would not."""
    if cfg.layout is not None:
        refuse("task.layout", cfg.layout, "no path leads from an S to a G; open a wall")
    if cfg.trap_width + 2 >= cfg.width:
        way_out = f"there is no way past the trap; use a task.width of {cfg.trap_width + 4}"
        refuse("task.trap_width", cfg.trap_width, way_out)
    most = cfg.length - GOAL_GAP - 2
    way_out = f"there is no way out of the trap; use at most {most}, or a longer task.length"
    refuse("task.trap_depth", cfg.trap_depth, way_out)


def _cells(rows: List[str], letter: str) -> List[Cell]:
    return [(x, y) for y, row in enumerate(rows) for x, found in enumerate(row) if found == letter]


def _reachable(rows: List[str], start: Cell) -> Set[Cell]:
    """Flood the maze from a cell."""
    reached, front = {start}, [start]
    while front:
        for x, y in _neighbours(front.pop()):
            if rows[y][x] != WALL and (x, y) not in reached:
                reached.add((x, y))
                front.append((x, y))
    return reached


def _neighbours(cell: Cell) -> Iterable[Cell]:
    x, y = cell
    return (x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)
