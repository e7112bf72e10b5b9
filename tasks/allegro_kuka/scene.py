"""The Allegro-Kuka scene: robots, table, object, goal and wall as one MuJoCo model.

Source: IsaacGymEnvs, `table_narrow.urdf`, `table_wide.urdf`, `allegro_kuka_base.py`.
"""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

import mujoco
import numpy as np

from tasks.allegro_kuka.bucket import BUCKET_START, add_bucket
from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.allegro_kuka.layout import Layout
from tasks.allegro_kuka.objects import BASE_SIZE_M, DENSITY
from tasks.allegro_kuka.physics import PHYSICS_PRESETS, SELF_COLLISION, PhysicsCfg
from tasks.allegro_kuka.resets import SPAWN_HEIGHT_M, SPAWN_SIDE_M
from tasks.allegro_kuka.robot import ARM, HAND, HOME_ARM, HOME_HAND, JOINT_NAMES, SITES
from tasks.allegro_kuka.robot_model import OBJECT_BIT, STATIC_BIT, add_robot
from tasks.allegro_kuka.view import VIEWS, add_view
from tasks.allegro_kuka.walls import add_wall
from tasks.engines.capacity import Capacity
from tasks.engines.model import Model, add_frame_sensors, frames

BASE_POSES: dict[int, tuple[tuple[tuple[float, float, float], float], ...]] = {
    1: (((0.0, 0.8, 0.0), 0.0),),
    2: (((-1.1, 0.0, 0.0), np.pi / 2), ((1.1, 0.0, 0.0), -np.pi / 2)),
}
"""Position (m) and yaw (rad) of each robot's base, by number of arms."""
TABLE_HALF_SIZE = {1: (0.2375, 0.2, 0.15), 2: (0.55, 0.2, 0.15)}
TABLE_CENTRE = (0.0, 0.0, 0.38)
OBJECT_START = {arms: (side_m, 0.0, SPAWN_HEIGHT_M) for arms, side_m in SPAWN_SIDE_M.items()}
"""Nominal spawn of the object by number of arms, m; with two arms on the right."""
GOAL_RADIUS_M = 0.01875
"""The ball that marks a goal position: radius .0375 at scale .5."""
GOALS = {"regrasping": "sphere", "reorientation": "box", "throw": "bucket"}
"""What the goal is, by `task.subtask`."""

_ROOM = {1: Capacity(24, 224), 2: Capacity(32, 256)}
"""Contacts and constraint rows of a world on the GPU, by number of arms.

Measured with MuJoCo on CPUs, 256 worlds x 300 control steps per task, random actions, after every
physics step. One arm: at most 125 rows in a world, at most 6.1 contacts on average over the
worlds at one moment (192 and 6.1 when all 947 boxes start 2 cm above the table). Two arms: 155
and 6.8; with the movable partition 164 and 10.7. A scripted grasp needs 44 rows and 4.4
contacts. The room is at least 1.5 times the most rows of the tasks and 3 times the contacts.
"""
_BUCKET_ROWS = 320
"""With the bucket, which may be put down right on the hand: at most 272 rows in 654 such worlds."""

_TABLE_RGBA = (0.70, 0.58, 0.45, 1.0)
_OBJECT_RGBA = (0.13, 0.45, 0.75, 1.0)
_GOAL_RGBA = (0.20, 0.75, 0.35, 0.45)
_FLOOR_RGB = ((0.80, 0.82, 0.84), (0.75, 0.77, 0.79))


def task_scene(cfg: AllegroKukaCfg, physics: str) -> tuple[Model, Layout]:
    """Compile the scene of a task.

    Args:
        cfg: the task.
        physics: name of a preset in `PHYSICS_PRESETS`.

    Returns:
        What an engine simulates, and the addresses of its parts.
    """
    settings = PHYSICS_PRESETS[physics]
    mj, layout = build_scene(cfg.num_arms, GOALS[cfg.subtask], settings, cfg.wall)
    return engine_model(mj, layout, settings.substeps), layout


def engine_model(mj: mujoco.MjModel, layout: Layout, substeps: int) -> Model:
    """Return a compiled scene as engines take it."""
    return Model(
        mj,
        substeps,
        home="home",
        pushed=("object",),
        watched=("object",),
        room=capacity(layout),
    )


def capacity(layout: Layout) -> Capacity:
    """Return the measured room for contacts and constraint rows of a scene."""
    contacts, constraints = _ROOM[layout.num_arms]
    return Capacity(contacts, max(constraints, _BUCKET_ROWS if layout.goal_collides else 0))


def build_scene(
    num_arms: int, goal: str, physics: PhysicsCfg | None = None, wall: str = "none"
) -> tuple[mujoco.MjModel, Layout]:
    """Compile the scene.

    Args:
        num_arms: 1 or 2.
        goal: `box` copies the object, `sphere` is a small ball, `bucket` a thing to hit.
        physics: settings, `PhysicsCfg()` if None.
        wall: what stands between two arms, as in `task.wall`.

    Returns:
        The model and the addresses of its parts.
    """
    spec = scene_spec(num_arms, goal, physics or PhysicsCfg(), wall)
    _add_home(spec, num_arms)
    model = spec.compile()
    return model, _layout(model, num_arms)


def scene_spec(num_arms: int, goal: str, physics: PhysicsCfg, wall: str = "none") -> mujoco.MjSpec:
    """Describe the scene, uncompiled; arguments as in `build_scene`.

    Raises:
        ValueError: for another number of arms, an unknown goal, wall or self collision mode.
    """
    if num_arms not in BASE_POSES:
        raise ValueError(f"num_arms={num_arms}: this scene has 1 or 2 arms")
    if goal not in GOALS.values():
        raise ValueError(f"goal={goal!r}: choose one of {', '.join(GOALS.values())}")
    if physics.self_collision not in SELF_COLLISION:
        raise ValueError(
            f"self_collision={physics.self_collision!r}: choose one of {', '.join(SELF_COLLISION)}"
        )
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    spec.modelname = f"allegro_kuka_{num_arms}_arm"
    _set_options(spec, physics)
    _add_static(spec, num_arms)
    _add_object(spec, num_arms, physics)
    for arm, (xyz, yaw) in enumerate(BASE_POSES[num_arms]):
        add_robot(spec, arm, num_arms, xyz, yaw, physics)
    _add_goal(spec, num_arms, goal)
    add_wall(spec, wall)
    add_frame_sensors(spec, _site_names(num_arms))
    add_view(spec, VIEWS[_view(num_arms, goal, wall)])
    return spec


def _add_home(spec: mujoco.MjSpec, num_arms: int) -> None:
    """Add the keyframe `home`: robots at their default posture, within limits, drives at rest."""
    lower, upper = np.array([link.limit for link in ARM + HAND] * num_arms).T
    posture = np.array((HOME_ARM[num_arms] + HOME_HAND) * num_arms).clip(lower, upper)
    model = spec.compile()
    first = int(model.joint(_joint_names(num_arms)[0]).qposadr[0])
    qpos = model.qpos0.copy()
    qpos[first : first + posture.size] = posture
    spec.add_key(name="home", qpos=qpos, ctrl=posture)


def _set_options(spec: mujoco.MjSpec, physics: PhysicsCfg) -> None:
    option = spec.option
    option.timestep = physics.timestep_s
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.solver = mujoco.mjtSolver.mjSOL_NEWTON
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    option.iterations, option.ls_iterations = physics.iterations, physics.ls_iterations
    option.tolerance, option.impratio = physics.tolerance, physics.impratio
    # Boxes and capsules only: the closed-form colliders give up to 8 points per box pair.
    option.disableflags |= mujoco.mjtDisableBit.mjDSBL_NATIVECCD
    spec.default.geom.solimp[:3] = physics.solimp_min, physics.solimp_max, physics.solimp_width_m
    spec.default.geom.friction = (physics.friction, physics.torsional_friction_m, 1e-4)


def _add_static(spec: mujoco.MjSpec, num_arms: int) -> None:
    """Add floor and table; the table floats with its top at .53 m, as in the original."""
    spec.add_texture(
        name="floor", type=mujoco.mjtTexture.mjTEXTURE_2D, width=256, height=256,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER, rgb1=_FLOOR_RGB[0], rgb2=_FLOOR_RGB[1],
    )  # fmt: skip
    floor = spec.add_material(name="floor", texrepeat=(1, 1), texuniform=True)
    floor.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "floor"
    blocks = {"contype": STATIC_BIT, "conaffinity": 0}
    spec.worldbody.add_geom(
        name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=(0, 0, 1), material="floor", **blocks
    )
    spec.worldbody.add_geom(
        name="table", type=mujoco.mjtGeom.mjGEOM_BOX, pos=TABLE_CENTRE,
        size=TABLE_HALF_SIZE[num_arms], rgba=_TABLE_RGBA, **blocks,
    )  # fmt: skip


def _add_object(spec: mujoco.MjSpec, num_arms: int, physics: PhysicsCfg) -> None:
    """Add the free box at scale 1; engines give every world its own size, mass and friction."""
    half = BASE_SIZE_M / 2
    mass = DENSITY * BASE_SIZE_M**3
    body = spec.worldbody.add_body(name="object", pos=OBJECT_START[num_arms], explicitinertial=True)
    # Solid box: m/3 (hy^2 + hz^2) about x, and so on.
    body.mass, body.inertia = mass, np.full(3, mass / 3 * 2 * half**2)
    body.ipos = np.zeros(3)  # Left unset, the compiler takes the body's own position.
    body.add_freejoint(name="object")
    body.add_geom(
        name="object", type=mujoco.mjtGeom.mjGEOM_BOX, size=(half,) * 3, rgba=_OBJECT_RGBA,
        contype=OBJECT_BIT, conaffinity=STATIC_BIT, condim=physics.condim,
        # The object's friction and condim count in its contacts, not the larger of two.
        priority=1,
    )  # fmt: skip
    body.add_site(name="object", size=(0.005,) * 3, group=4)


def _add_goal(spec: mujoco.MjSpec, num_arms: int, goal: str) -> None:
    """Add the goal: the bucket, or a marker, which touches nothing."""
    start = BUCKET_START if goal == "bucket" else OBJECT_START[num_arms]
    body = spec.worldbody.add_body(name="goal", mocap=True, pos=start)
    if goal == "bucket":
        add_bucket(body)
        return
    is_box = goal == "box"
    body.add_geom(
        name="goal",
        type=mujoco.mjtGeom.mjGEOM_BOX if is_box else mujoco.mjtGeom.mjGEOM_SPHERE,
        size=(BASE_SIZE_M / 2,) * 3 if is_box else (GOAL_RADIUS_M, 0, 0),
        rgba=_GOAL_RGBA,
        mass=0,
        contype=0,
        conaffinity=0,
    )


def _site_names(num_arms: int) -> list[str]:
    """Order of the S sites: object, every palm, then the fingertips of each robot."""
    palms = [f"arm{arm}/{SITES[0]}" for arm in range(num_arms)]
    tips = [f"arm{arm}/{tip}" for arm in range(num_arms) for tip in SITES[1:]]
    return ["object", *palms, *tips]


def _joint_names(num_arms: int) -> tuple[str, ...]:
    return tuple(f"arm{arm}/{name}" for arm in range(num_arms) for name in JOINT_NAMES)


def _view(num_arms: int, goal: str, wall: str) -> str:
    """Return the name of the scene's view in `VIEWS`."""
    if wall != "none":
        return "walls"
    return "two_arms" if num_arms == 2 else "throw" if goal == "bucket" else "one_arm"


def _layout(mj: mujoco.MjModel, num_arms: int) -> Layout:
    model, joint_names, sites = Model(mj), _joint_names(num_arms), _site_names(num_arms)
    walls = [mj.joint(i).name for i in range(mj.njnt) if mj.joint(i).name == "wall"]
    goal = mj.geom("goal")
    goal_collides = bool(goal.contype[0])
    return Layout(
        num_arms=num_arms,
        joint_names=joint_names,
        joint_qpos=model.qpos(*joint_names),
        joint_dof=model.dof(*joint_names),
        object_qpos=model.qpos("object"),
        object_dof=model.dof("object"),
        object_body=mj.body("object").id,
        object_geom=mj.geom("object").id,
        goal_mocap=model.mocap("goal").start,
        goal_geom=goal.id,
        goal_copies_object=not goal_collides and goal.type[0] == mujoco.mjtGeom.mjGEOM_BOX,
        goal_collides=goal_collides,
        wall_qpos=model.qpos(*walls),
        wall_dof=model.dof(*walls),
        site_pos=model.sensor(*frames("pos", sites)),
        site_quat=model.sensor(*frames("quat", sites)),
        site_linvel=model.sensor(*frames("linvel", sites)),
        site_angvel=model.sensor(*frames("angvel", sites)),
        home_key=mj.key("home").id,
    )
