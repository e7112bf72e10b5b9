"""Our task settings in the words of isaacgymenvs, and what its tasks cannot follow.

Every setting of `AllegroKukaCfg` stands in one of the tables below; a test sees to that.
Source of the keys: IsaacGymEnvs `cfg/task/AllegroKuka.yaml` and `cfg/task/env/*.yaml`.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Sequence, Tuple

from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.errors import refuse

KEYS: Dict[str, Tuple[str, ...]] = {
    "episode_length": ("episodeLength",),
    "success_hold_steps": ("successSteps",),
    "max_successes": ("maxConsecutiveSuccesses",),
    "keypoint_scale": ("keypointScale",),
    "reward.fingertip": ("distanceDeltaRewScale",),
    "reward.lifting": ("liftingRewScale",),
    "reward.lift_bonus": ("liftingBonus",),
    "reward.lift_threshold_m": ("liftingBonusThreshold",),
    "reward.keypoint": ("keypointRewScale",),
    "reward.success": ("reachGoalBonus",),
    "curriculum.initial_tolerance_m": ("successTolerance",),
    "curriculum.target_tolerance_m": ("targetSuccessTolerance",),
    "curriculum.factor": ("toleranceCurriculumIncrement",),
    "curriculum.interval_steps": ("toleranceCurriculumInterval",),
    "force.scale": ("forceScale",),
    "force.decay": ("forceDecay",),
    "force.decay_interval_s": ("forceDecayInterval",),
    "reset.object_xy_m": ("resetPositionNoiseX", "resetPositionNoiseY"),
    "reset.object_z_m": ("resetPositionNoiseZ",),
    "reset.arm": ("resetDofPosRandomIntervalArm",),
    "reset.hand": ("resetDofPosRandomIntervalFingers",),
    "reset.joint_velocity": ("resetDofVelRandomInterval",),
    "objects.randomize_dimensions": ("randomizeObjectDimensions",),
}
"""Our setting -> keys of `task.env` that take its value."""
ONE_ARM_KEYS: Dict[str, Tuple[str, ...]] = {
    "arm_speed": ("dofSpeedScale",),
    "reward.arm_penalty": ("kukaActionsPenaltyScale",),
    "reward.hand_penalty": ("allegroActionsPenaltyScale",),
}
"""The same, for keys that the two-arm tasks do not read."""
COMBINED: Dict[str, Callable[[AllegroKukaCfg], Any]] = {
    "forceProbRange": lambda cfg: [cfg.force.min_probability, cfg.force.max_probability],
    "withSmallCuboids": lambda cfg: "small_cuboids" in cfg.objects.sets,
    "withBigCuboids": lambda cfg: "big_cuboids" in cfg.objects.sets,
    "withSticks": lambda cfg: "sticks" in cfg.objects.sets,
}
"""Keys of `task.env` whose value is made of several settings, or of a part of one."""
COMBINED_FROM = ("force.min_probability", "force.max_probability", "objects.sets")
CHOOSE_TASK = ("kind", "name", "num_arms", "subtask", "wall")
"""Settings that choose the task itself."""
FIXED: Dict[str, Callable[[AllegroKukaCfg], Any]] = {
    "observe_wall": lambda cfg: False,
    "arm_action": lambda cfg: "delta" if cfg.num_arms == 1 else "absolute",
    "max_hand_distance_m": lambda cfg: 1.5 if _is_one_arm_reorientation(cfg) else float("inf"),
    "consecutive_hold": lambda cfg: False,
    "success_in_hand": lambda cfg: False,
    "goal_extent": lambda cfg: 1.0,
    "replace_object": lambda cfg: True,
    "reward.hold": lambda cfg: 0.0,
    "same_shapes_per_block": lambda cfg: False,
    "reward.fingertip_after_lifting": lambda cfg: cfg.num_arms == 2,
    "curriculum.min_successes": lambda cfg: 3.0,
    "reset.at_object": lambda cfg: False,
    "objects.density": lambda cfg: 400.0,
    "randomize": lambda cfg: [],
}
"""Settings that are part of the original's code: nothing else than this value is possible."""
FIXED_TWO_ARMS: Dict[str, Any] = {
    "arm_speed": AllegroKukaCfg.arm_speed,
    "reward.arm_penalty": 0.0,
    "reward.hand_penalty": 0.0,
}
"""The same, with two arms only."""
CORRECTIONS = ("clamp_reset_joints", "raise_spawn", "own_mass_force")
"""Our corrections of the original, on by default; here they are off whatever the setting says."""
WITHOUT_EFFECT = "randomization."
"""Start of settings that count only for what `task.randomize` names: nothing, here."""


def check(cfg: AllegroKukaCfg) -> None:
    """Refuse what the tasks of isaacgymenvs cannot do.

    Raises:
        ValueError: naming the setting, its value and the way out.
    """
    fixed = {name: value(cfg) for name, value in FIXED.items()}
    if cfg.num_arms == 2:
        fixed.update(FIXED_TWO_ARMS)
    for name, value in fixed.items():
        if get(cfg, name) != value:
            way_out = f"engine=isaacgym has task.{name}={value}; use that, or engine=mujoco_warp"
            refuse(f"task.{name}", get(cfg, name), way_out)
    if cfg.wall != "none" and cfg.subtask != "reorientation":
        way_out = "on engine=isaacgym walls stand in reorientation only; use engine=mujoco_warp"
        refuse("task.wall", cfg.wall, way_out)


def notes(cfg: AllegroKukaCfg, overrides: Sequence[str] = ()) -> List[str]:
    """Return which of our corrections have no effect, and which settings an override replaces."""
    names = [f"task.{name}" for name in CORRECTIONS if get(cfg, name)]
    lines = [f"no effect on engine=isaacgym: {', '.join(names)}"] if names else []
    ours = {key: name for name, keys in {**KEYS, **ONE_ARM_KEYS}.items() for key in keys}
    for line in overrides:
        key = line.lstrip("+").partition("=")[0].replace("task.env.", "", 1)
        if key in ours:
            lines.append(f"engine.overrides: {line} replaces task.{ours[key]}")
    return lines


def values(cfg: AllegroKukaCfg) -> Dict[str, Any]:
    """Return the settings of a task as keys of `task.env` and their values."""
    table = {**KEYS, **ONE_ARM_KEYS} if cfg.num_arms == 1 else KEYS
    single = {key: get(cfg, name) for name, keys in table.items() for key in keys}
    return {**single, **{key: value(cfg) for key, value in COMBINED.items()}}


def get(cfg: AllegroKukaCfg, name: str) -> Any:
    """Return the value of a dotted setting such as `reward.lifting`."""
    value: Any = cfg
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _is_one_arm_reorientation(cfg: AllegroKukaCfg) -> bool:
    return cfg.num_arms == 1 and cfg.subtask == "reorientation"
