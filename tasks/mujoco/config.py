"""Settings of the tasks over a MuJoCo model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass
class MujocoTaskCfg:
    """What all of them share."""

    hides_clock: ClassVar[bool] = True
    """The observation does not tell how much of an episode is left."""
    kind: str = "mujoco"
    """Family of the task, as the registry knows it."""
    name: str = "Mujoco"
    """Task name, as in `task=<name>`."""
    episode_length: int = 100
    """Time limit, control steps."""


@dataclass
class ArmReachCfg(MujocoTaskCfg):
    """Bring the tip of an arm with seven joints to a point in front of it, and keep it there."""

    name: str = "ArmReach"
    """Task name, as in `task=<name>`."""
    episode_length: int = 100
    """Time limit, control steps of 0.04 s."""
    goal_radius_m: float = 0.03
    """How near the tip must be at the end of an episode, m."""
    payload_kg: float = 0.0
    """Largest mass that the hand carries: every environment draws its own, uniformly, and keeps
    it for the run."""
    effort_cost: float = 0.02
    """Cost of the mean squared action per control step, task units."""
