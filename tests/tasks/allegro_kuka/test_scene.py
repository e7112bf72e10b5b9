"""The scene: what stands where, what collides with what, and how boxes rest."""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

pytest.importorskip("mujoco.batch")

import mujoco
import torch
from omegaconf import OmegaConf

from tasks.allegro_kuka.goals import THROW_VOLUME, VOLUMES
from tasks.allegro_kuka.physics import PHYSICS_PRESETS, PhysicsCfg
from tasks.allegro_kuka.resets import TABLE_TOP_M
from tasks.allegro_kuka.scene import build_scene, task_scene
from tests.tasks.allegro_kuka.doubles import task_cfg
from tests.tasks.worlds import worlds

TASKS = {
    "AllegroKukaRegrasping": "sphere",
    "AllegroKukaReorientation": "box",
    "AllegroKukaThrow": "bucket",
    "AllegroKukaTwoArmsRegrasping": "sphere",
    "AllegroKukaTwoArmsReorientation": "box",
    "AllegroKukaTwoArmsReorientationPartition": "box",
    "AllegroKukaTwoArmsReorientationHole": "box",
    "AllegroKukaTwoArmsReorientationBarrier": "box",
}
"""The goal of every task's scene."""
RIM = np.array([[0.12, 0.0, 0.15], [-0.12, 0.0, 0.15], [0.0, 0.12, 0.15], [0.0, -0.12, 0.15]])


def at_home(num_arms, goal="box", **physics):
    model, layout = build_scene(num_arms, goal, PhysicsCfg(**physics))
    return model, layout, reset_home(model, layout)


def task_at_home(name):
    model, layout = task_scene(task_cfg(name), "settled")
    return model.mj, layout, reset_home(model.mj, layout)


def reset_home(model, layout):
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, layout.home_key)
    mujoco.mj_forward(model, data)
    return data


def touching(model, data):
    """Pairs of body names in contact."""
    pairs = model.geom_bodyid[[list(contact.geom) for contact in data.contact]]
    return {frozenset(model.body(i).name for i in pair) for pair in pairs}


def may_collide(model, first, second):
    """Whether any two geoms of two bodies are let through by their collision classes."""

    def geoms(body):
        return [i for i in range(model.ngeom) if model.body(model.geom_bodyid[i]).name == body]

    return any(
        model.geom_contype[a] & model.geom_conaffinity[b]
        or model.geom_contype[b] & model.geom_conaffinity[a]
        for a in geoms(first)
        for b in geoms(second)
    )


@pytest.mark.parametrize("name", TASKS)
def test_nothing_touches_at_home(name):
    _, _, data = task_at_home(name)
    assert data.ncon == 0


@pytest.mark.parametrize("name", TASKS)
def test_scene_shows_the_goal_of_its_task(name):
    model, layout, _ = task_at_home(name)
    assert model.geom_type[layout.goal_geom] == (
        mujoco.mjtGeom.mjGEOM_SPHERE if TASKS[name] == "sphere" else mujoco.mjtGeom.mjGEOM_BOX
    )
    assert layout.goal_copies_object == (TASKS[name] == "box")
    assert layout.goal_collides == (TASKS[name] == "bucket")


@pytest.mark.parametrize("name", TASKS)
def test_home_is_at_rest_without_gravity_on_the_robot(name):
    model, layout, data = task_at_home(name)
    home = data.qpos[layout.joint_qpos].copy()
    for _ in range(120):
        mujoco.mj_step(model, data)
    np.testing.assert_allclose(data.qpos[layout.joint_qpos], home, atol=1e-6)


def test_scene_has_the_joints_and_sensors_of_the_simulator_contract():
    for num_arms in (1, 2):
        model, layout, _ = at_home(num_arms)
        joints = 23 * num_arms
        assert (model.nq, model.nv, model.nu) == (7 + joints, 6 + joints, joints)
        sites = 1 + 5 * num_arms
        assert layout.num_sites == sites and model.nsensordata == 13 * sites
        blocks = [layout.site_pos, layout.site_quat, layout.site_linvel, layout.site_angvel]
        assert [block.stop - block.start for block in blocks] == [3 * sites, 4 * sites] + 2 * [
            3 * sites
        ]


def test_object_is_the_base_cube():
    model, _, _ = at_home(1)
    body = model.body("object")
    # .05^3 m^3 x 400 kg/m^3 = .05 kg; m/3 (h^2 + h^2) = .05 / 3 x 2 x .025^2 = 2.0833e-5 kg m^2.
    assert body.mass[0] == pytest.approx(0.05)
    np.testing.assert_allclose(body.inertia, 2.083333e-5, rtol=1e-6)
    np.testing.assert_array_equal(body.ipos, 0.0)


def test_goal_marker_touches_nothing():
    for goal in ("box", "sphere"):
        model, layout, data = at_home(1, goal)
        data.mocap_pos[layout.goal_mocap] = data.qpos[layout.object_qpos][:3]
        mujoco.mj_forward(model, data)
        assert data.ncon == 0
        assert model.body("goal").mass[0] == 0.0


def test_collision_classes_follow_the_rules():
    model, _, _ = at_home(2)
    for link in ("iiwa7_link_7", "iiwa7_link_5", "index_link_3", "thumb_link_0"):
        assert may_collide(model, f"arm0/{link}", "object")
    for link in ("iiwa7_link_3", "iiwa7_link_4", "iiwa7_link_7", "ring_link_2"):
        assert may_collide(model, f"arm1/{link}", "world")
    assert not may_collide(model, "arm0/iiwa7_link_4", "object")
    assert not may_collide(model, "arm0/iiwa7_link_2", "world")
    assert not may_collide(model, "arm0/iiwa7_link_3", "arm0/iiwa7_link_6")
    assert not may_collide(model, "arm0/iiwa7_link_5", "arm0/thumb_link_3")
    assert may_collide(model, "arm0/iiwa7_link_4", "arm1/iiwa7_link_6")
    assert may_collide(model, "arm0/index_link_1", "arm1/ring_link_3")
    assert not may_collide(model, "arm0/iiwa7_link_3", "arm1/iiwa7_link_6")


@pytest.mark.parametrize("self_collision", ["all", "tips", "none"])
def test_setting_chooses_the_collisions_between_fingers(self_collision):
    model, _, data = at_home(1, self_collision=self_collision)
    # joint_0 turns a finger about its own length: bent fingers then cross the middle one.
    for finger, turn in (("index", -0.5), ("middle", 0.0), ("ring", 0.5)):
        data.joint(f"arm0/{finger}_joint_0").qpos = turn
        data.joint(f"arm0/{finger}_joint_1").qpos = 0.6
    mujoco.mj_forward(model, data)
    tips = frozenset({"arm0/ring_link_3", "arm0/middle_link_3"})
    inner = frozenset({"arm0/ring_link_2", "arm0/middle_link_2"})
    assert (tips in touching(model, data)) == (self_collision in ("all", "tips"))
    assert (inner in touching(model, data)) == (self_collision == "all")


@pytest.mark.parametrize("posture", ["lower", "upper", "middle"])
def test_neighbouring_links_never_touch(posture):
    model, layout, data = at_home(1)
    lower, upper = model.jnt_range[1:].T
    wanted = {"lower": lower, "upper": upper, "middle": (lower + upper) / 2}[posture]
    # The arm stays home: only the hand folds.
    data.qpos[layout.joint_qpos.start + 7 : layout.joint_qpos.stop] = wanted[7:]
    mujoco.mj_forward(model, data)
    for pair in touching(model, data):
        fingers = {name.split("_")[0] for name in pair}
        assert len(fingers) == 2, f"{set(pair)} belong to one finger"
        assert pair != {"arm0/iiwa7_link_7", "arm0/thumb_link_1"}


def test_boxes_of_any_size_rest_at_half_their_height():
    generator = torch.Generator().manual_seed(0)
    half = 0.0125 + 0.0625 * torch.rand(64, 3, generator=generator)
    sim = worlds(half)
    pose = sim.object_pose.clone()
    pose[:, 2] = TABLE_TOP_M + half[:, 2] + 0.01
    # Aside of the hand, and long boxes not on end.
    pose[:, 0] = -0.12
    sim.set_state(
        torch.ones(64, dtype=torch.bool), sim.joint_pos, sim.joint_vel, pose, torch.zeros(64, 6)
    )
    for _ in range(90):
        sim.step()
    # Soft contacts sink by under 0.2 mm: the impedance rises within the first millimetre.
    expected = TABLE_TOP_M + half[:, 2]
    torch.testing.assert_close(sim.object_pose[:, 2], expected, atol=2e-4, rtol=0)
    assert sim.site_linvel[:, 0].abs().max() < 1e-2


def in_picture(model, data, points):
    """Whether the camera `front` shows all points [M, 3] in a picture of 4 to 3."""
    camera = data.camera("front")
    x, y, z = ((points - camera.xpos) @ camera.xmat.reshape(3, 3)).T
    top = -z * np.tan(np.radians(model.camera("front").fovy[0]) / 2)  # It looks along -z.
    return bool(((z < 0) & (np.abs(y) < top) & (np.abs(x) < top * 4 / 3)).all())


@pytest.mark.parametrize("name", TASKS)
def test_camera_shows_robots_object_and_every_goal(name):
    model, layout, data = task_at_home(name)
    volume = THROW_VOLUME if TASKS[name] == "bucket" else VOLUMES[layout.num_arms]
    corners = np.array(list(product(*zip(volume.lower, volume.upper, strict=True))))
    sides = [corners + np.array([side * volume.side_m, 0, 0]) for side in (-1, 1)]
    moving = data.xpos[1:]  # All but the world.
    assert in_picture(model, data, np.concatenate((*sides, moving)))
    if TASKS[name] == "bucket":
        rims = [goals + point for goals in sides for point in RIM]
        assert in_picture(model, data, np.concatenate(rims))
    assert not in_picture(model, data, np.array([[0.0, -5.0, 0.5]]))


@pytest.mark.parametrize(
    ("num_arms", "goal", "self_collision", "message"),
    [(3, "box", "all", "num_arms=3"), (1, "cone", "all", "'cone'"), (1, "box", "on", "'on'")],
)
def test_unknown_scene_is_refused(num_arms, goal, self_collision, message):
    with pytest.raises(ValueError, match=message):
        build_scene(num_arms, goal, PhysicsCfg(self_collision=self_collision))


@pytest.mark.parametrize("preset", PHYSICS_PRESETS)
def test_presets_are_valid_structured_configs(preset):
    physics = PHYSICS_PRESETS[preset]
    assert OmegaConf.to_object(OmegaConf.structured(physics)) == physics
    # One control step is 1/60 s under every preset.
    assert physics.timestep_s * physics.substeps == pytest.approx(1 / 60)
