"""Schema of the Allegro-Kuka tasks: every setting with its default, unit and source.

Source tags: [U] isaac-sim/IsaacGymEnvs `isaacgymenvs/cfg/task/AllegroKuka*.yaml` and
`tasks/allegro_kuka/*.py`; [E] YifanSu1301/EPO, same files.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import FrozenSet, List

from tasks.errors import check_choice, refuse

SUBTASKS = ("regrasping", "reorientation", "throw")
WALLS = ("none", "partition", "hole", "barrier")
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
    """Split evenly over the `success_hold_steps` steps near the goal; under `consecutive_hold` only
    steps of a hold that is longer than any before are paid."""
    arm_penalty: float = 0.003
    """Per rad/s of absolute arm joint speed, each step (0 in the two-arm tasks)."""
    hand_penalty: float = 0.0003
    """Per rad/s of absolute finger joint speed, each step (0 in the two-arm tasks)."""
    hold: float = 0.0
    """Each step that the object is held: in the air and moving with a hand (ours)."""


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
    """True: begin with the open hand around the object, which stands on the table (ours; boxes of
    5 cm height, `object_xy_m` of 0.01: finding this posture is what takes most frames). Of two arms
    the one on the object's side has it. `object_z_m`, `arm` and `hand` then have no effect."""


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
class RandomizationCfg:
    """Ranges of domain randomisation; only what `task.randomize` names takes effect.

    The physical quantities are drawn once per environment and stay for the run, so thousands of
    worlds cover the range; noise and latency are drawn per control step and per episode. Source
    of the ranges: [U] `AllegroKuka.yaml`, the disabled block, narrowed where it says so.
    """

    object_size: List[float] = field(default_factory=lambda: [0.9, 1.1])
    """Factor of all edges, uniform ([U]: 0.5 to 2). Physics and rewards have the true box, the
    observation shows size and keypoints of the nominal one."""
    object_mass: List[float] = field(default_factory=lambda: [0.5, 1.5])
    """Factor of the mass that the density gives the box of randomised size, uniform ([U])."""
    object_friction: List[float] = field(default_factory=lambda: [0.7, 1.3])
    """Sliding friction of the object, which alone counts in its contacts, uniform ([U])."""
    stiffness: List[float] = field(default_factory=lambda: [0.75, 1.5])
    """Factor of every drive's stiffness, log-uniform per joint ([U]: uniform)."""
    damping: List[float] = field(default_factory=lambda: [0.5, 2.0])
    """Factor of every drive's damping, log-uniform per joint ([U]: 0.3 to 3)."""
    observation_noise: List[float] = field(default_factory=lambda: [0.002, 0.001])
    """Standard deviations of noise per step and of an offset per episode, in the units of the
    observation ([U]). Only measured entries get noise: joints, poses, velocities and keypoints."""
    action_noise: List[float] = field(default_factory=lambda: [0.05, 0.015])
    """Standard deviations of noise per step and of an offset per episode, added to clamped
    actions, which are clamped again ([U])."""
    action_latency: List[int] = field(default_factory=lambda: [0, 2])
    """Control steps until an action takes effect, least and most, uniform per episode (ours).
    Until then the first action of the episode is held."""


RANDOMIZED = tuple(item.name for item in fields(RandomizationCfg))
"""Names for `task.randomize`, beside `all`."""
_FACTORS = ("object_size", "object_mass", "stiffness", "damping")
"""Those of them that multiply: zero would switch the quantity off."""


@dataclass
class AllegroKukaCfg:
    """One Allegro-Kuka task; the defaults are one-arm reorientation as in [E]."""

    kind: str = "allegro_kuka"
    """Family of the task, as the registry knows it."""
    name: str = "AllegroKukaReorientation"
    """Task name, as in `task=<name>`."""
    subtask: str = "reorientation"
    """`regrasping`: bring the object's centre to a point and hold it; the object is dropped
    anew after each success. `reorientation`: bring it to a pose; it stays in the hand. `throw`
    (one arm): throw it into a bucket out of reach; both are placed again after each success."""
    num_arms: int = 1
    """Robots, 1 or 2."""
    wall: str = "none"
    """What stands between two arms: nothing, a movable `partition`, a wall with a `hole`, or a
    `barrier` that leaves only its sides (EPO paper, section 5.1)."""
    observe_wall: bool = False
    """Append the pose of the partition to the observation, 7 numbers (ours; [E] shows no wall)."""
    episode_length: int = 600
    """Control steps to reach a goal; the clock restarts at each success ([E]: regrasping 400)."""
    success_hold_steps: int = 1
    """Control steps near the goal that make a success ([U] `successSteps`: regrasping 30)."""
    max_successes: int = 50
    """Successes that end the episode ([U] `maxConsecutiveSuccesses`)."""
    success_in_hand: bool = False
    """True: count only steps near the goal in which a hand holds the object (ours). Without it an
    object that flies past, or a goal close to the table, can count."""
    replace_object: bool = True
    """Regrasping and throw put the object back after a success, as the original. False: it stays
    where it is and only the goal moves (ours)."""
    goal_extent: float = 1.0
    """Share of the published goal volume, around its centre, that goals are drawn from (ours)."""
    keypoint_scale: float = 1.5
    """Keypoints sit at the box corners times this ([U] `keypointScale`)."""
    arm_action: str = "delta"
    """Arm actions move the previous target (`delta`) or span the joint range (`absolute`)."""
    arm_speed: float = 10.0
    """Speed of the arm target at action 1 under `delta`, rad/s ([U] `dofSpeedScale`)."""
    max_hand_distance_m: float = float("inf")
    """Distance from the object's centre to the farthest fingertip of the nearest hand beyond which
    the episode ends (1.5 in one-arm reorientation)."""
    consecutive_hold: bool = False
    """True: steps near the goal must be consecutive. The original only adds them up."""
    clamp_reset_joints: bool = True
    """Keep sampled joints within limits. The original starts thumb_joint_0 below its limit."""
    raise_spawn: bool = True
    """Lift spawns that would intersect the table. The original lets the solver eject them."""
    own_mass_force: bool = True
    """Scale random forces by the own object's mass. The original uses environment 0's."""
    same_shapes_per_block: bool = False
    """Use the same shapes in every agent's block. The original deals them over all environments."""
    reward: RewardCfg = field(default_factory=RewardCfg)
    curriculum: CurriculumCfg = field(default_factory=CurriculumCfg)
    force: ForceCfg = field(default_factory=ForceCfg)
    reset: ResetCfg = field(default_factory=ResetCfg)
    objects: ObjectsCfg = field(default_factory=ObjectsCfg)
    randomize: List[str] = field(default_factory=list)
    """What differs between environments beyond the task itself: names of `RandomizationCfg`, or
    `all`. The original's domain randomisation cannot run; this one is ours."""
    randomization: RandomizationCfg = field(default_factory=RandomizationCfg)


def randomized(cfg: AllegroKukaCfg) -> FrozenSet[str]:
    """Return the names of `RandomizationCfg` that take effect."""
    return frozenset(RANDOMIZED if "all" in cfg.randomize else cfg.randomize)


def check(cfg: AllegroKukaCfg) -> None:
    """Refuse impossible values.

    Raises:
        ValueError: naming the setting, its value and the way out.
    """
    check_choice("task.subtask", cfg.subtask, SUBTASKS)
    check_choice("task.wall", cfg.wall, WALLS)
    for name in cfg.randomize:
        check_choice("task.randomize", name, ("all", *RANDOMIZED))
    check_choice("task.arm_action", cfg.arm_action, ARM_ACTIONS)
    for name in cfg.objects.sets:
        check_choice("task.objects.sets", name, OBJECT_SETS)
    if cfg.num_arms not in (1, 2):
        refuse("task.num_arms", cfg.num_arms, "use 1 or 2")
    for name, least in (("episode_length", 2), ("success_hold_steps", 1), ("max_successes", 1)):
        if getattr(cfg, name) < least:
            refuse(f"task.{name}", getattr(cfg, name), f"use at least {least}")
    for name in ("keypoint_scale", "arm_speed", "max_hand_distance_m"):
        if not getattr(cfg, name) > 0:
            refuse(f"task.{name}", getattr(cfg, name), "use a positive number")
    if cfg.subtask == "throw" and cfg.num_arms != 1:
        refuse("task.subtask", "throw", "two arms have no throw task; use task.num_arms=1")
    if cfg.subtask == "throw" and cfg.success_in_hand:
        way_out = "a thrown object is in no hand; use false, with task.max_hand_distance_m=inf"
        refuse("task.success_in_hand", True, way_out)
    if cfg.wall != "none" and cfg.num_arms != 2:
        refuse("task.wall", cfg.wall, "walls stand between two arms; use task.num_arms=2")
    if cfg.observe_wall and cfg.wall != "partition":
        refuse("task.observe_wall", True, "only task.wall=partition moves; set it to false")
    _check_components(cfg)
    _check_randomization(cfg)


def _check_components(cfg: AllegroKukaCfg) -> None:
    curriculum, force = cfg.curriculum, cfg.force
    if not 0 < curriculum.target_tolerance_m <= curriculum.initial_tolerance_m:
        refuse(
            "task.curriculum.target_tolerance_m",
            curriculum.target_tolerance_m,
            f"use a value in (0, initial_tolerance_m = {curriculum.initial_tolerance_m}]",
        )
    if not 0 < curriculum.factor < 1:
        refuse("task.curriculum.factor", curriculum.factor, "use a value in (0, 1)")
    if curriculum.interval_steps < 1:
        refuse("task.curriculum.interval_steps", curriculum.interval_steps, "use at least 1")
    if force.scale < 0:
        refuse("task.force.scale", force.scale, "use 0 (no force) or more")
    if not 0 < force.min_probability <= force.max_probability <= 1:
        refuse(
            "task.force.min_probability",
            force.min_probability,
            f"use a value in (0, max_probability = {force.max_probability}], both at most 1",
        )
    if not 0 < force.decay <= 1:
        refuse("task.force.decay", force.decay, "use a value in (0, 1]")
    if not 0 <= cfg.goal_extent <= 1:
        refuse("task.goal_extent", cfg.goal_extent, "use a share in [0, 1]")
    for name in ("arm", "hand"):
        if not 0 <= getattr(cfg.reset, name) <= 1:
            refuse(f"task.reset.{name}", getattr(cfg.reset, name), "use a share in [0, 1]")
    if not cfg.objects.density > 0:
        refuse("task.objects.density", cfg.objects.density, "use a positive density, kg/m^3")
    if cfg.objects.randomize_dimensions and not cfg.objects.sets:
        refuse(
            "task.objects.sets", "[]", "name a set, or set task.objects.randomize_dimensions=false"
        )


def _check_randomization(cfg: AllegroKukaCfg) -> None:
    ranges = cfg.randomization
    for item in fields(ranges):
        low_high = getattr(ranges, item.name)
        setting = f"task.randomization.{item.name}"
        if len(low_high) != 2 or not all(0 <= value < float("inf") for value in low_high):
            refuse(setting, low_high, "give two numbers of at least 0")
        if not item.name.endswith("_noise") and low_high[0] > low_high[1]:
            refuse(setting, low_high, "give the lower one first")
        if item.name in _FACTORS and not low_high[0] > 0:
            refuse(setting, low_high, "give positive factors")
    latency = ranges.action_latency
    if "action_latency" in randomized(cfg) and latency[1] >= cfg.episode_length:
        way_out = f"give less than task.episode_length={cfg.episode_length}"
        refuse("task.randomization.action_latency", latency, way_out)
