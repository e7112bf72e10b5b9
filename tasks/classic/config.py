"""Settings of the classic tasks: one schema per task, and what is refused."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import List, Optional

from tasks.classic import maze_layout
from tasks.errors import check_choice, refuse

REWARDS = ("dense", "sparse")


@dataclass
class ClassicCfg:
    """What all classic tasks share."""

    kind: str = "classic"
    """Family of the task, as the registry knows it."""
    name: str = "Pendulum"
    """Task name, as in `task=<name>`."""
    episode_length: int = 200
    """Time limit, control steps."""
    action_delay: int = 0
    """Control steps from the choice of an action to its effect. Pending actions are not observed;
    an episode begins with as many idle ones."""
    frame_skip: int = 1
    """Steps of the task per control step, all with the same action; their rewards add up. The time
    limit counts control steps. Longer actions explore further."""


@dataclass
class MountainCarContinuousCfg(ClassicCfg):
    """Gymnasium's MountainCarContinuous-v0: rock an underpowered car out of a valley."""

    name: str = "MountainCarContinuous"
    """Task name, as in `task=<name>`."""
    episode_length: int = 999
    """Time limit, control steps (Gymnasium)."""
    action_cost: float = 0.1
    """Cost of a squared action per control step, task units (Gymnasium: 0.1). The goal pays 100,
    so a run that finds it too late learns to stand still."""


@dataclass
class PendulumCfg(ClassicCfg):
    """Gymnasium's Pendulum-v1: swing a pendulum up and hold it with too weak a motor."""


@dataclass
class AcrobotCfg(ClassicCfg):
    """Gymnasium's Acrobot-v1: swing two links above a line; three torques to choose from."""

    name: str = "Acrobot"
    """Task name, as in `task=<name>`."""
    episode_length: int = 500
    """Time limit, control steps (Gymnasium)."""


@dataclass
class CartPoleSwingUpCfg(ClassicCfg):
    """Gymnasium's cart and pole, started with the pole down, pushed with a force of any size."""

    name: str = "CartPoleSwingUp"
    """Task name, as in `task=<name>`."""
    episode_length: int = 500
    """Time limit, control steps (Gymnasium)."""


@dataclass
class DeceptiveMazeCfg(ClassicCfg):
    """A point robot before a trap: the straight way to the goal is a dead end.

    Without `layout` the maze is a hall with a wall in front of the goal, whose ends are bent
    towards the start: a U that is open on the robot's side.
    """

    name: str = "DeceptiveMaze"
    """Task name, as in `task=<name>`."""
    reward: str = "dense"
    """`dense`: the approach to the goal in the straight line, 1 for all of it, plus 1 at the goal;
    `sparse`: 1 at the goal and nothing else."""
    length: int = 9
    """Inside of the hall along the straight way, cells of 1 m."""
    width: int = 7
    """Inside of the hall across, odd, cells."""
    trap_depth: int = 2
    """Length of the bent ends, cells: so far must the robot go back. 0: a straight wall."""
    trap_width: int = 3
    """Inside of the U, odd, cells."""
    layout: Optional[List[str]] = None
    """The maze in letters instead, one line per row: `#` wall, `.` floor, `S` start, `G` goal.
    Of several starts or goals an episode draws one."""


@dataclass
class SparseReachCfg(ClassicCfg):
    """A planar arm, stretched out, that is paid only where its tip meets a goal behind it."""

    name: str = "SparseReach"
    """Task name, as in `task=<name>`."""
    num_joints: int = 3
    """Joints of the arm; its equal links are 1 m long together."""
    goal_distance_m: float = 0.7
    """Distance of the goals from the arm's base, m."""
    goal_radius_m: float = 0.1
    """How near the tip must come to the goal's centre, m."""
    goal_spread_rad: float = 0.5
    """Goals are drawn from the arc of so many radians on either side of straight behind; pi: a
    whole circle, which reaches the arm as it begins."""


SCHEMAS = (
    MountainCarContinuousCfg,
    PendulumCfg,
    AcrobotCfg,
    CartPoleSwingUpCfg,
    DeceptiveMazeCfg,
    SparseReachCfg,
)


def check(cfg: ClassicCfg) -> None:
    """Refuse impossible settings, a maze without a way among them.

    Raises:
        ValueError: naming the setting, its value and the way out.
    """
    if cfg.episode_length < 1:
        refuse("task.episode_length", cfg.episode_length, "use at least 1")
    if not 0 <= cfg.action_delay < cfg.episode_length:
        refuse("task.action_delay", cfg.action_delay, "use 0 up to less than task.episode_length")
    if cfg.frame_skip < 1:
        refuse("task.frame_skip", cfg.frame_skip, "use at least 1")
    if isinstance(cfg, MountainCarContinuousCfg) and not 0 <= cfg.action_cost < math.inf:
        refuse("task.action_cost", cfg.action_cost, "use 0 or more")
    if isinstance(cfg, DeceptiveMazeCfg):
        check_choice("task.reward", cfg.reward, REWARDS)
        maze_layout.check(cfg)
    if isinstance(cfg, SparseReachCfg):
        _check_reach(cfg)


def _check_reach(cfg: SparseReachCfg) -> None:
    if cfg.num_joints < 1:
        refuse("task.num_joints", cfg.num_joints, "use at least 1")
    if not 0 < cfg.goal_radius_m < math.inf:
        refuse("task.goal_radius_m", cfg.goal_radius_m, "use a positive number")
    if not 0 <= cfg.goal_spread_rad <= math.pi:
        refuse("task.goal_spread_rad", cfg.goal_spread_rad, "use a number from 0 to 3.14159")
    # One joint: the tip stays on a circle. More: equal links fold down to the base.
    least = 1.0 - cfg.goal_radius_m if cfg.num_joints == 1 else 0.0
    if not max(least, 0.0) <= cfg.goal_distance_m < 1.0 + cfg.goal_radius_m:
        arm = f"out of reach with task.num_joints={cfg.num_joints}"
        refuse("task.goal_distance_m", cfg.goal_distance_m, f"{arm}; use {least:g} up to 1")
