"""Range of every number of a task or an engine; relations are for the families' own checks."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Iterator, Mapping, NamedTuple, Tuple

from tasks.errors import refuse

STEPS, LARGE = 10**9, 1e9
"""Most control steps of an episode; the greatest of other numbers."""


class Range(NamedTuple):
    """What a number may be; both ends are included."""

    least: float
    most: float


POSITIVE, NOT_NEGATIVE, UNIT = Range(1e-9, LARGE), Range(0, LARGE), Range(0, 1)
ANY = Range(-LARGE, LARGE)
STEP_COUNT = Range(1, STEPS)
SIZE = Range(1, 10**6)
AUTO_SIZE = Range(0, 10**6)

COMMON: Mapping[str, Range] = {"task.episode_length": STEP_COUNT}
ALLEGRO_KUKA: Mapping[str, Range] = {
    **COMMON,
    "task.num_arms": Range(1, 2),
    "task.success_hold_steps": STEP_COUNT,
    "task.max_successes": STEP_COUNT,
    "task.keypoint_scale": POSITIVE,
    "task.arm_speed": POSITIVE,
    "task.max_hand_distance_m": Range(1e-9, math.inf),
    "task.reward.fingertip": ANY,
    "task.reward.lifting": ANY,
    "task.reward.lift_bonus": ANY,
    "task.reward.lift_threshold_m": Range(-10, 10),
    "task.reward.keypoint": ANY,
    "task.reward.success": ANY,
    "task.reward.arm_penalty": ANY,
    "task.reward.hand_penalty": ANY,
    "task.reward.hold": ANY,
    "task.goal_extent": UNIT,
    "task.curriculum.initial_tolerance_m": POSITIVE,
    "task.curriculum.target_tolerance_m": POSITIVE,
    "task.curriculum.factor": UNIT,
    "task.curriculum.interval_steps": STEP_COUNT,
    "task.curriculum.min_successes": ANY,
    "task.force.scale": NOT_NEGATIVE,
    "task.force.min_probability": UNIT,
    "task.force.max_probability": UNIT,
    "task.force.decay": UNIT,
    "task.force.decay_interval_s": POSITIVE,
    "task.reset.object_xy_m": Range(0, 10),
    "task.reset.object_z_m": Range(0, 10),
    "task.reset.arm": UNIT,
    "task.reset.hand": UNIT,
    "task.reset.joint_velocity": Range(0, 1000),
    "task.objects.density": Range(1e-3, 1e6),
    "task.randomization.object_size": NOT_NEGATIVE,
    "task.randomization.object_mass": NOT_NEGATIVE,
    "task.randomization.object_friction": NOT_NEGATIVE,
    "task.randomization.stiffness": NOT_NEGATIVE,
    "task.randomization.damping": NOT_NEGATIVE,
    "task.randomization.observation_noise": NOT_NEGATIVE,
    "task.randomization.action_noise": NOT_NEGATIVE,
    "task.randomization.action_latency": Range(0, STEPS),
}
GYMNASIUM: Mapping[str, Range] = {
    "task.max_episode_steps": STEP_COUNT,
    "task.frame_skip": Range(1, 10**6),
    "task.pixels.side": Range(1, 10**4),
    "task.pixels.frame_stack": Range(1, 1000),
    "task.solved_return": Range(-math.inf, math.inf),
    "task.step_timeout_s": Range(1e-3, LARGE),
    "task.start_timeout_s": Range(1e-3, LARGE),
    "task.num_workers": Range(1, 10**4),
    "task.envs_per_core": SIZE,
}
CLASSIC: Mapping[str, Range] = {
    **COMMON,
    "task.action_delay": Range(0, 10**4),
    "task.frame_skip": Range(1, 1000),
    "task.action_cost": NOT_NEGATIVE,
    "task.length": Range(1, 1000),
    "task.width": Range(1, 1000),
    "task.trap_depth": Range(0, 1000),
    "task.trap_width": Range(1, 1000),
    "task.num_joints": Range(1, 1000),
    "task.goal_distance_m": NOT_NEGATIVE,
    "task.goal_radius_m": POSITIVE,
    "task.goal_spread_rad": Range(0, 4),
}
VECTOR: Mapping[str, Range] = {"task.action_range": POSITIVE}
MUJOCO: Mapping[str, Range] = {
    **COMMON,
    "task.goal_radius_m": POSITIVE,
    "task.payload_kg": Range(0, 1000),
    "task.effort_cost": NOT_NEGATIVE,
}
ENGINES: Mapping[str, Range] = {
    "engine.num_threads": Range(0, 10**4),
    "engine.max_contacts": AUTO_SIZE,
    "engine.max_constraints": AUTO_SIZE,
    "engine.solver_iterations": Range(0, 10**4),
}
RANGES: Mapping[str, Range] = {
    **ALLEGRO_KUKA,
    **GYMNASIUM,
    **CLASSIC,
    **VECTOR,
    **MUJOCO,
    **ENGINES,
}
"""Setting of any family of ours, or of an engine -> its range, of each number in a list."""


def check(group: str, cfg: Any, ranges: Mapping[str, Range]) -> None:
    """Refuse numbers outside their range.

    Args:
        group: `task` or `engine`.
        cfg: its settings.
        ranges: setting -> what it may be; others may be anything.

    Raises:
        ValueError: naming the setting, its value and what it may be.
    """
    for name, value in _leaves(group, cfg):
        allowed = ranges.get(name)
        if allowed is None:
            continue
        for number in value if isinstance(value, (list, tuple)) else [value]:
            is_number = type(number) in (int, float)
            if is_number and not allowed.least <= number <= allowed.most:
                refuse(name, value, f"use {allowed.least:g} to {allowed.most:g}")


def _leaves(prefix: str, node: Any) -> Iterator[Tuple[str, Any]]:
    for item in dataclasses.fields(node):
        value, name = getattr(node, item.name), f"{prefix}.{item.name}"
        if dataclasses.is_dataclass(value):
            yield from _leaves(name, value)
        else:
            yield name, value
