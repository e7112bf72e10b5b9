"""The robot: kinematics, limits, masses and drives against the original's."""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

pytest.importorskip("mujoco.batch")

import mujoco
from mujoco.batch import Batch

from tasks.allegro_kuka.physics import PHYSICS_PRESETS
from tasks.allegro_kuka.robot import ARM, FINGERS, HAND, JOINT_NAMES
from tasks.allegro_kuka.scene import build_scene
from tests.golden import golden

FAMILIES = {1: "one_arm", 2: "two_arms"}
BODIES = ("iiwa7_link_0", *(link.name for link in ARM + HAND))
# Points observed by the task, in the frame of link 7 and of the last finger links, m.
PALM_POINT = (0.0, -0.02, 0.16)
TIP_POINT = {finger: (0.06 if finger == "thumb" else 0.05, 0.005, 0.0) for finger in FINGERS}


scene = lru_cache(build_scene)


def posed(num_arms, joint_pos=None, joint_vel=None):
    """Model and data with sensors at a joint state [23 A], the default posture if None."""
    model, layout = scene(num_arms, "sphere")
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, layout.home_key)
    if joint_pos is not None:
        data.qpos[layout.joint_qpos] = joint_pos
    if joint_vel is not None:
        data.qvel[layout.joint_dof] = joint_vel
    mujoco.mj_forward(model, data)
    return model, layout, data


def quaternion_gap(ours, theirs_xyzw):
    """Largest component difference, up to the common sign."""
    theirs = np.roll(theirs_xyzw, 1, axis=-1)
    return np.minimum(abs(ours - theirs), abs(ours + theirs)).max()


def test_joints_follow_the_order_and_limits_of_the_original_by_name():
    model, layout, _ = posed(2)
    assert layout.joint_names[23:] == tuple(f"arm1/{name}" for name in JOINT_NAMES)
    flexion, splay, wide, narrow = (-0.279244, 1.727825), (-0.558489, 0.558489), 2.96706, 2.0944
    expected = {"iiwa7_joint_7": (-3.05433, 3.05433), "thumb_joint_0": (0.279244, 1.57075)}
    expected["thumb_joint_1"] = (-0.331603, 1.151883)
    expected["thumb_joint_2"], expected["thumb_joint_3"] = flexion, (-0.279244, 1.762731)
    for finger in ("index", "middle", "ring"):
        expected[f"{finger}_joint_0"] = splay
        expected.update({f"{finger}_joint_{i}": flexion for i in (1, 2, 3)})
    for i in range(1, 7):
        bound = wide if i % 2 else narrow
        expected[f"iiwa7_joint_{i}"] = (-bound, bound)
    assert len(expected) == 23
    for arm in range(2):
        for name, limits in expected.items():
            joint = model.joint(f"arm{arm}/{name}")
            # The table is rounded to six digits.
            np.testing.assert_allclose(joint.range, limits, atol=5e-6)
            assert model.actuator(f"arm{arm}/{name}").trnid[0] == joint.id
    np.testing.assert_array_equal(model.actuator_trnid[:, 0], np.arange(1, 47))


def test_masses_add_up_to_the_original():
    model, _, _ = posed(1)
    robot = [i for i in range(model.nbody) if model.body(i).name.startswith("arm0/")]
    # 28.92 kg = iiwa7 27.11 + end effector .1 + mount .05 + palm .4154 + fingers 1.2491.
    assert model.body_mass[robot].sum() == pytest.approx(28.9264, abs=1e-3)
    hand = [i for i in robot if "iiwa7" not in model.body(i).name]
    assert model.body_mass[hand].sum() + 0.05 + 0.4154 == pytest.approx(1.7145, abs=1e-3)
    assert (model.body_gravcomp[robot[1:]] == 1).all()


def test_finger_inertias_are_physical():
    for link in HAND:
        principal = np.sort(link.inertia)
        assert principal[0] > 0 and principal[0] + principal[1] >= principal[2], link.name


@pytest.mark.parametrize("num_arms", [1, 2])
def test_link_poses_match_the_original(num_arms):
    arrays = golden("kinematics.npz")
    family = FAMILIES[num_arms]
    joint_pos, joint_vel = arrays[f"{family}__joint_pos"], arrays[f"{family}__joint_vel"]
    for row in range(len(joint_pos)):
        model, _, data = posed(num_arms, joint_pos[row], joint_vel[row])
        for arm in range(num_arms):
            ids = [model.body(f"arm{arm}/{name}").id for name in BODIES]
            # Both sides are exact up to the float32 of the stored poses.
            expected = arrays[f"{family}__body_pos"][row, arm]
            np.testing.assert_allclose(data.xpos[ids], expected, atol=1e-6)
            expected = arrays[f"{family}__body_quat"][row, arm]
            assert quaternion_gap(data.xquat[ids], expected) < 1e-6


@pytest.mark.parametrize("num_arms", [1, 2])
def test_sensors_give_palm_and_fingertip_frames_with_origin_velocities(num_arms):
    arrays = golden("kinematics.npz")
    family = FAMILIES[num_arms]
    for row in (0, 5, 63):
        joint_pos, joint_vel = (arrays[f"{family}__joint_{k}"][row] for k in ("pos", "vel"))
        _, layout, data = posed(num_arms, joint_pos, joint_vel)
        read = {
            name: data.sensordata[getattr(layout, f"site_{name}")].reshape(layout.num_sites, -1)
            for name in ("pos", "quat", "linvel", "angvel")
        }
        palms, tips = slice(1, 1 + num_arms), slice(1 + num_arms, None)
        stored = {key: arrays[f"{family}__{key}"][row] for key in ("palm_pos", "palm_quat")}
        np.testing.assert_allclose(read["pos"][palms], stored["palm_pos"], atol=1e-6)
        assert quaternion_gap(read["quat"][palms], stored["palm_quat"]) < 1e-6
        for ours, key in (("linvel", "palm_lin_vel"), ("angvel", "palm_ang_vel")):
            # Speeds reach some m/s and rad/s: float32 keeps six digits of them.
            expected = arrays[f"{family}__{key}"][row]
            np.testing.assert_allclose(read[ours][palms], expected, atol=1e-5)
        expected = arrays[f"{family}__fingertip_pos"][row].reshape(-1, 3)
        np.testing.assert_allclose(read["pos"][tips], expected, atol=1e-6)
        expected = arrays[f"{family}__fingertip_quat"][row].reshape(-1, 4)
        assert quaternion_gap(read["quat"][tips], expected) < 1e-6


# World positions at the default posture with all hand joints at zero, m.
DEFAULT_POINTS = {
    (1, 0): {
        "palm": ((-0.0001, 0.2420, 0.7235), (0.0140, 0.0845, 0.6920)),
        "index": (0.0690, -0.1009, 0.6836),
        "middle": (0.0115, -0.1037, 0.6831),
        "ring": (-0.0460, -0.1008, 0.6834),
        "thumb": (0.1950, 0.1353, 0.7280),
    },
    (2, 0): {
        "palm": ((-0.6311, -0.0001, 0.7490), (-0.4706, 0.0140, 0.7533)),
        "index": (-0.2880, 0.0690, 0.7862),
        "middle": (-0.2851, 0.0115, 0.7865),
        "ring": (-0.2880, -0.0460, 0.7860),
        "thumb": (-0.5281, 0.1950, 0.7771),
    },
    (2, 1): {
        "palm": ((0.6311, 0.0001, 0.7490), (0.4706, -0.0140, 0.7533)),
        "index": (0.2880, -0.0690, 0.7862),
    },
}


@pytest.mark.parametrize(("num_arms", "arm"), DEFAULT_POINTS)
def test_reference_points_lie_where_the_original_has_them(num_arms, arm):
    model, layout, _ = posed(num_arms)
    posture = model.key_qpos[layout.home_key][layout.joint_qpos].copy()
    posture[[23 * i + 19 for i in range(num_arms)]] = 0.0  # thumb_joint_0, unclamped
    model, _, data = posed(num_arms, posture)

    def point(body, offset):
        body = data.body(f"arm{arm}/{body}")
        return body.xpos + body.xmat.reshape(3, 3) @ offset

    points = DEFAULT_POINTS[num_arms, arm]
    origin, centre = points["palm"]
    np.testing.assert_allclose(point("iiwa7_link_7", (0, 0, 0)), origin, atol=1e-3)
    np.testing.assert_allclose(point("iiwa7_link_7", PALM_POINT), centre, atol=1e-3)
    for finger in points.keys() - {"palm"}:
        tip = point(f"{finger}_link_3", TIP_POINT[finger])
        np.testing.assert_allclose(tip, points[finger], atol=1e-3)


def step_response(physics, steps, duration_s):
    """Joint positions [steps, T, 23] from home after target steps, without contacts."""
    model, layout = build_scene(1, "sphere", physics)
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONTACT
    batch = Batch(model, len(steps), 2)
    batch.reset(keyframe=layout.home_key)
    home = model.key_qpos[layout.home_key][layout.joint_qpos]
    batch.bind("ctrl")[:] = home + np.array(steps)
    qpos = batch.rollout(round(duration_s / physics.timestep_s), record=("qpos",))["qpos"]
    return qpos[:, :, layout.joint_qpos] - home


def test_arm_steps_respond_as_the_original_drives():
    # Gains 40/5, a step of .3 rad on one joint at a time, 1/240 s, watched for 2 s.
    physics = replace(PHYSICS_PRESETS["settled"], timestep_s=1 / 240)
    response = step_response(physics, 0.3 * np.eye(23)[:7], 2.0) / 0.3
    rise_s, overshoot = [0.59, 0.63, 0.33, 0.32, 0.26, 0.25, 0.28], [0.45, 0.50, 0.11, 0.10]
    settle_s = [2.0, 1.9, 1.6, 1.6, 0.3, 0.3, 0.36]
    for joint in range(7):
        trace = response[joint, :, joint]
        reached = (np.argmax(trace >= 0.9) + 1) / 240
        assert reached == pytest.approx(rise_s[joint], rel=0.1)
        outside = np.flatnonzero(abs(trace - 1) > 0.05)[-1] + 1
        assert outside / 240 == pytest.approx(settle_s[joint], rel=0.1)
        if joint < 4:
            assert trace.max() - 1 == pytest.approx(overshoot[joint], rel=0.1)
        else:
            assert trace.max() - 1 < 0.02


@pytest.mark.parametrize(("preset", "rise_s"), [("settled", 0.32), ("parity", 0.33)])
def test_finger_steps_respond_as_the_original_drives(preset, rise_s):
    # A step of 1 rad on the flexion joints of one finger: the torque limit sets the pace.
    physics = PHYSICS_PRESETS[preset]
    step = np.zeros(23)
    step[8:11] = 1.0
    response = step_response(physics, [step], 1.0)[0, :, 8:11]
    reached = (np.argmax(response >= 0.9, axis=0) + 1) * physics.timestep_s
    np.testing.assert_allclose(reached, rise_s, rtol=0.1)
    # It arrives and stays: no limit cycle within 1 % of the step.
    np.testing.assert_allclose(response[-round(0.2 / physics.timestep_s) :], 1.0, atol=0.01)
