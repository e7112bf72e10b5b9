"""Schema of `cfg/task` and `cfg/engine`: every setting with its default, unit and source.

Source tags: [U] isaac-sim/IsaacGymEnvs `isaacgymenvs/cfg/task/AllegroKuka*.yaml` and
`tasks/allegro_kuka/*.py`; [E] YifanSu1301/EPO, same files.
"""

from __future__ import annotations

import difflib
import importlib.util
from dataclasses import dataclass, field
from typing import Any, Iterable, List, Tuple

SUBTASKS = ("regrasping", "reorientation")
ARM_ACTIONS = ("delta", "absolute")
OBJECT_SETS = ("small_cuboids", "big_cuboids", "sticks")


@dataclass
class RewardCfg:
    """Coefficients of the reward terms, task units ([U] defaults, one arm)."""

    fingertip: float = 50.0
    """Per metre that a fingertip comes closer to the object than ever since it was placed."""
    fingertip_after_lifting: bool = False
    """Pay the fingertip term also once the object is lifted (true in the two-arm tasks)."""
    lifting: float = 20.0
    """Per metre of the object's centre above 0.58 m, each step until it is lifted."""
    lift_bonus: float = 300.0
    """Once, in the step that lifts the object."""
    lift_threshold_m: float = 0.15
    """Lifted means centre above 0.58 m plus this, that is 0.73 m ([U] `liftingBonusThreshold`)."""
    keypoint: float = 200.0
    """Per metre that the farthest keypoint comes closer to its goal than ever, while lifted."""
    success: float = 1000.0
    """Split evenly over the `success_hold_steps` steps near the goal."""
    arm_penalty: float = 0.003
    """Per rad/s of absolute arm joint speed, each step (0 in the two-arm tasks)."""
    hand_penalty: float = 0.0003
    """Per rad/s of absolute finger joint speed, each step (0 in the two-arm tasks)."""


@dataclass
class CurriculumCfg:
    """How the success tolerance tightens; the threshold is tolerance x keypoint_scale."""

    initial_tolerance_m: float = 0.075
    """Tolerance at the start of training ([U] `successTolerance`)."""
    target_tolerance_m: float = 0.01
    """Tolerance at the end ([U] `targetSuccessTolerance`)."""
    factor: float = 0.9
    """Tolerance multiplier per tightening ([U] `toleranceCurriculumIncrement`)."""
    interval_steps: int = 300
    """Least control steps between tightenings ([E]; [U] has 3000)."""
    min_successes: float = 3.0
    """Mean successes per finished episode that allow a tightening ([U], in the code)."""


@dataclass
class ForceCfg:
    """Random forces that push the object."""

    scale: float = 2.0
    """Standard deviation per axis over the object's mass, N/kg ([U] `forceScale`); 0 = none."""
    min_probability: float = 0.001
    """Lower end of the log-uniform chance per control step ([U] `forceProbRange`)."""
    max_probability: float = 0.1
    """Upper end of that chance."""
    decay: float = 0.99
    """Factor by which a force fades in `decay_interval_s` ([U] `forceDecay`)."""
    decay_interval_s: float = 0.08
    """Seconds of that fading ([U] `forceDecayInterval`)."""


@dataclass
class ResetCfg:
    """Noise of the start of an episode."""

    object_xy_m: float = 0.1
    """Half range of the object's spawn position in x and y ([U] `resetPositionNoiseX/Y`)."""
    object_z_m: float = 0.02
    """Half range of the spawn height around 0.63 m ([U] `resetPositionNoiseZ`)."""
    arm: float = 0.1
    """Share of the arm joints' range ([U] `resetDofPosRandomIntervalArm`)."""
    hand: float = 0.1
    """Share of the finger joints' range ([U] `resetDofPosRandomIntervalFingers`)."""
    joint_velocity: float = 0.5
    """Half range of the joint speeds, rad/s ([U] `resetDofVelRandomInterval`)."""
    at_object: bool = False
    """True: begin with the open hand around the object, which stands on the table (ours; one arm,
    boxes of 5 cm height, `object_xy_m` of 0.01: finding this posture is what takes most frames).
    `object_z_m`, `arm` and `hand` then have no effect."""


@dataclass
class ObjectsCfg:
    """Which boxes are manipulated; one box per environment, for the whole run."""

    sets: List[str] = field(default_factory=lambda: list(OBJECT_SETS))
    """Sets of shapes, together 947 boxes ([U] `withSmallCuboids`, ...); see `objects.py`."""
    randomize_dimensions: bool = True
    """False: the 5 cm cube everywhere ([U] `randomizeObjectDimensions`)."""
    density: float = 400.0
    """Density of the boxes, kg/m^3 ([U] object asset)."""


@dataclass
class AllegroKukaCfg:
    """One Allegro-Kuka task; the defaults are one-arm reorientation as in [E]."""

    kind: str = "allegro_kuka"
    """Family of the task, as the registry knows it."""
    name: str = "AllegroKukaReorientation"
    """Task name, as in `task=<name>`."""
    subtask: str = "reorientation"
    """`regrasping`: bring the object's centre to a point and hold it; the object is dropped
    anew after each success. `reorientation`: bring it to a pose; it stays in the hand."""
    num_arms: int = 1
    """Robots, 1 or 2."""
    episode_length: int = 600
    """Control steps to reach a goal; the clock restarts at each success ([E]: regrasping 400)."""
    success_hold_steps: int = 1
    """Control steps near the goal that make a success ([U] `successSteps`: regrasping 30)."""
    max_successes: int = 50
    """Successes that end the episode ([U] `maxConsecutiveSuccesses`)."""
    keypoint_scale: float = 1.5
    """Keypoints sit at the box corners times this ([U] `keypointScale`)."""
    arm_action: str = "delta"
    """Arm actions move the previous target (`delta`) or span the joint range (`absolute`)."""
    arm_speed: float = 10.0
    """Speed of the arm target at action 1 under `delta`, rad/s ([U] `dofSpeedScale`)."""
    max_hand_distance_m: float = float("inf")
    """Farthest fingertip-object distance that goes on (1.5 in one-arm reorientation)."""
    consecutive_hold: bool = False
    """True: steps near the goal must be consecutive. The original only adds them up."""
    clamp_reset_joints: bool = True
    """Keep sampled joints within limits. The original starts thumb_joint_0 below its limit."""
    raise_spawn: bool = True
    """Lift spawns that would intersect the table. The original lets the solver eject them."""
    own_mass_force: bool = True
    """Scale random forces by the own object's mass. The original uses environment 0's."""
    same_shapes_per_block: bool = False
    """Give every agent's block the same shapes. The original deals them over all environments."""
    reward: RewardCfg = field(default_factory=RewardCfg)
    curriculum: CurriculumCfg = field(default_factory=CurriculumCfg)
    force: ForceCfg = field(default_factory=ForceCfg)
    reset: ResetCfg = field(default_factory=ResetCfg)
    objects: ObjectsCfg = field(default_factory=ObjectsCfg)


@dataclass
class ProbeCfg:
    """A probe task."""

    kind: str = "probe"
    """Family of the task, as the registry knows it."""
    name: str = "ProbeReach"
    """Task name, as in `task=<name>`."""
    probe: str = "reach"
    """What is asked: value, discount, policy, memory, gene or reach."""
    episode_length: int = 50
    """Control steps per episode (ours: short enough for tests)."""


@dataclass
class MujocoCfg:
    """MuJoCo on CPU threads."""

    name: str = "mujoco"
    """Engine name, as in `engine=<name>`."""
    num_threads: int = 0
    """Physics threads; 0 = the cores granted to this process."""
    physics: str = "settled"
    """`settled`: 2 substeps of 1/120 s, hand gains 8/1; `parity`: 4 of 1/240 s, gains 40/5."""


@dataclass
class AutoCfg(MujocoCfg):
    """The engine that fits the device, with the settings of every engine."""

    name: str = "auto"
    """Engine name, as in `engine=<name>`."""


ENGINES = {"mujoco": "cpu"}
"""Engine name -> the kind of device that it runs on; its package and extra have its name."""


def devices(task_cfg: Any, engine_cfg: Any) -> Tuple[str, ...]:
    """List the kinds of device that a task runs on with an engine, the preferred one first."""
    if not isinstance(task_cfg, AllegroKukaCfg):
        return ("cuda", "cpu")
    check_choice("engine.name", engine_cfg.name, ("auto", *ENGINES))
    kinds = ENGINES.values() if engine_cfg.name == "auto" else (ENGINES[engine_cfg.name],)
    return tuple(kind for kind in ("cuda", "cpu") if kind in kinds)


def choose_engine(task_cfg: Any, engine_cfg: Any, device: str) -> List[str]:
    """Replace the engine `auto` by the one that fits the device, in place.

    Returns:
        A line such as `engine=mujoco (auto: device=cpu)` if there was a choice.

    Raises:
        ValueError: if the engine is unknown, does not fit the device or is not installed.
    """
    if not isinstance(task_cfg, AllegroKukaCfg):
        return []
    choices, kind = [], device.partition(":")[0]
    kinds = devices(task_cfg, engine_cfg)
    if kind not in kinds:
        way_out = f"engine={engine_cfg.name} runs on {', '.join(kinds)}; use device={kinds[0]}"
        _refuse("device", device, way_out)
    if engine_cfg.name == "auto":
        engine_cfg.name = next(name for name, runs_on in ENGINES.items() if runs_on == kind)
        choices.append(f"engine={engine_cfg.name} (auto: device={device})")
    package = engine_cfg.name
    if importlib.util.find_spec(package) is None:
        _refuse("engine", package, f"it is not installed; pip install 'epo[{package}]'")
    return choices


def register(store: Any) -> None:
    """Put the schemas into `store` (a Hydra ConfigStore) as `base_*` of their groups."""
    store.store(group="task", name="base_allegro_kuka", node=AllegroKukaCfg)
    store.store(group="task", name="base_probe", node=ProbeCfg)
    store.store(group="engine", name="base_mujoco", node=MujocoCfg)
    store.store(group="engine", name="base_auto", node=AutoCfg)


def check(cfg: Any) -> None:
    """Refuse impossible values of a task; tasks of other families check themselves.

    Raises:
        ValueError: naming the setting, its value and the way out.
    """
    if isinstance(cfg, AllegroKukaCfg):
        _check_allegro_kuka(cfg)


def _check_allegro_kuka(cfg: AllegroKukaCfg) -> None:
    check_choice("task.subtask", cfg.subtask, SUBTASKS)
    check_choice("task.arm_action", cfg.arm_action, ARM_ACTIONS)
    for name in cfg.objects.sets:
        check_choice("task.objects.sets", name, OBJECT_SETS)
    if cfg.num_arms not in (1, 2):
        _refuse("task.num_arms", cfg.num_arms, "use 1 or 2")
    for name, least in (("episode_length", 2), ("success_hold_steps", 1), ("max_successes", 1)):
        if getattr(cfg, name) < least:
            _refuse(f"task.{name}", getattr(cfg, name), f"use at least {least}")
    for name in ("keypoint_scale", "arm_speed", "max_hand_distance_m"):
        if not getattr(cfg, name) > 0:
            _refuse(f"task.{name}", getattr(cfg, name), "use a positive number")
    _check_components(cfg)


def _check_components(cfg: AllegroKukaCfg) -> None:
    curriculum, force = cfg.curriculum, cfg.force
    if not 0 < curriculum.target_tolerance_m <= curriculum.initial_tolerance_m:
        _refuse(
            "task.curriculum.target_tolerance_m",
            curriculum.target_tolerance_m,
            f"use a value in (0, initial_tolerance_m = {curriculum.initial_tolerance_m}]",
        )
    if not 0 < curriculum.factor < 1:
        _refuse("task.curriculum.factor", curriculum.factor, "use a value in (0, 1)")
    if curriculum.interval_steps < 1:
        _refuse("task.curriculum.interval_steps", curriculum.interval_steps, "use at least 1")
    if force.scale < 0:
        _refuse("task.force.scale", force.scale, "use 0 (no force) or more")
    if not 0 < force.min_probability <= force.max_probability <= 1:
        _refuse(
            "task.force.min_probability",
            force.min_probability,
            f"use a value in (0, max_probability = {force.max_probability}], both at most 1",
        )
    if not 0 < force.decay <= 1:
        _refuse("task.force.decay", force.decay, "use a value in (0, 1]")
    if cfg.reset.at_object and cfg.num_arms != 1:
        _refuse("task.reset.at_object", True, "use it with task.num_arms=1, or set it to false")
    for name in ("arm", "hand"):
        if not 0 <= getattr(cfg.reset, name) <= 1:
            _refuse(f"task.reset.{name}", getattr(cfg.reset, name), "use a share in [0, 1]")
    if not cfg.objects.density > 0:
        _refuse("task.objects.density", cfg.objects.density, "use a positive density, kg/m^3")
    if cfg.objects.randomize_dimensions and not cfg.objects.sets:
        _refuse(
            "task.objects.sets", "[]", "name a set, or set task.objects.randomize_dimensions=false"
        )


def check_choice(setting: str, value: str, choices: Iterable[str]) -> None:
    """Refuse a `value` outside `choices` and name the nearest one."""
    choices = list(choices)
    if value not in choices:
        near = difflib.get_close_matches(value, choices, n=1, cutoff=0.0)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"{setting}={value!r} is unknown: {hint}Choices: {', '.join(choices)}")


def _refuse(setting: str, value: Any, way_out: str) -> None:
    raise ValueError(f"{setting}={value} is impossible: {way_out}")
