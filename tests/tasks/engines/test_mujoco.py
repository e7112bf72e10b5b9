"""The CPU engine: worlds of their own, masked resets, the guard, exact resume."""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mujoco.batch")

import mujoco
import torch

from tasks.allegro_kuka.objects import mass as box_mass
from tasks.allegro_kuka.physics import PhysicsCfg
from tasks.allegro_kuka.robot_worlds import RobotWorlds
from tasks.allegro_kuka.scene import build_scene, engine_model, scene_spec
from tasks.allegro_kuka.worlds import Worlds
from tasks.engines.config import MujocoCfg
from tests.tasks.engines.driving import everywhere, on_table
from tests.tasks.worlds import robots, worlds

MIRRORS = ("joint_pos", "joint_vel", "object_pose", "bad")
SITES = ("site_pos", "site_quat", "site_linvel", "site_angvel")


def random_half_size(num_envs, seed=0):
    """[N, 3] half edges in the range of the task's boxes, m."""
    return 0.0125 + 0.0625 * torch.rand(num_envs, 3, generator=torch.Generator().manual_seed(seed))


def drive(sim, steps, seed=0):
    """Step under random targets near home and random pushes, new every sixth step."""
    generator = torch.Generator().manual_seed(seed)
    home, reach = sim.joint_pos.clone(), 0.2 * (sim.joint_upper - sim.joint_lower)
    for step in range(steps):
        if step % 6 == 0:
            noise = torch.rand(sim.ctrl.shape, generator=generator) - 0.5
            sim.ctrl.copy_((home + reach * noise).clamp(sim.joint_lower, sim.joint_upper))
            sim.object_force[:, :3] = 0.2 * torch.randn(sim.num_envs, 3, generator=generator)
        sim.step()


def snapshot(sim):
    return {name: getattr(sim, name).clone() for name in MIRRORS + SITES}


def assert_identical(ours, theirs, rows: Any = slice(None)):
    for name, value in ours.items():
        assert torch.equal(value[rows], theirs[name][rows]), name


def reset_arguments(sim, object_vel=None):
    """Arguments of `set_state` that leave the robots where they are."""
    pose = sim.object_pose.clone()
    velocity = torch.zeros(sim.num_envs, 6) if object_vel is None else object_vel
    return sim.joint_pos.clone(), sim.joint_vel.clone(), pose, velocity


def test_members_have_the_shapes_of_the_contract():
    for num_arms in (1, 2):
        sim = worlds(random_half_size(3), num_arms)
        sites, joints = 1 + 5 * num_arms, 23 * num_arms
        shapes = {"joint_pos": [joints], "joint_vel": [joints], "ctrl": [joints]}
        shapes.update(object_pose=[7], goal_pose=[7], object_force=[6], bad=[], object_mass=[])
        shapes.update({name: [sites, 4 if name == "site_quat" else 3] for name in SITES})
        for name, shape in shapes.items():
            assert list(getattr(sim, name).shape) == [3, *shape], name
            expected = torch.bool if name == "bad" else torch.float32
            assert getattr(sim, name).dtype == expected, name
        assert sim.joint_lower.shape == sim.joint_upper.shape == (joints,)
        assert sim.control_dt_s == pytest.approx(1 / 60)
        # Fresh from the constructor: at home, within limits, sensors already filled in.
        assert (sim.joint_pos >= sim.joint_lower).all() and (sim.joint_pos <= sim.joint_upper).all()
        torch.testing.assert_close(sim.site_pos[:, 0], sim.object_pose[:, :3])
        assert torch.equal(sim.ctrl, sim.joint_pos)


def randomized_worlds(half, **factors):
    """Make one world per row of `half` [N, 3] m; `factors` are further members of `Worlds`."""
    drawn = Worlds(half, factors.pop("object_mass", box_mass(half)), **factors)
    return robots(drawn, MujocoCfg(num_threads=2))


def test_worlds_equal_separately_compiled_models():
    half, physics = random_half_size(5), PhysicsCfg()
    friction = torch.tensor([0.5, 0.8, 1.0, 1.2, 1.5])
    generator = torch.Generator().manual_seed(1)
    stiffness, damping = 0.5 + torch.rand(2, 5, 23, generator=generator)
    sim = randomized_worlds(half, object_friction=friction, stiffness=stiffness, damping=damping)
    for i in range(5):
        spec = scene_spec(1, "box", physics)
        size, mass = half[i].double().numpy(), float(box_mass(half)[i])
        body = spec.body("object")
        x, y, z = size**2
        body.mass, body.inertia = mass, mass / 3 * np.array([y + z, x + z, x + y])
        for name in ("object", "goal"):
            spec.geom(name).size = size
        spec.geom("object").friction[0] = friction[i]
        for joint, drive in enumerate(spec.actuators):
            drive.gainprm[0] *= float(stiffness[i, joint])
            drive.biasprm[1] *= float(stiffness[i, joint])
            drive.biasprm[2] *= float(damping[i, joint])
        alone = spec.compile()
        ours, _ = sim.world(i)
        for body_field in ("mass", "inertia", "invweight0", "subtreemass", "ipos", "iquat"):
            values = [getattr(m, f"body_{body_field}") for m in (ours, alone)]
            np.testing.assert_allclose(*values, rtol=1e-9, atol=1e-12, err_msg=body_field)
        for geom_field in ("size", "rbound", "aabb", "friction"):
            values = [getattr(m, f"geom_{geom_field}") for m in (ours, alone)]
            np.testing.assert_allclose(*values, rtol=1e-9, err_msg=geom_field)
        for name in ("dof_invweight0", "actuator_gainprm", "actuator_biasprm"):
            values = [getattr(m, name) for m in (ours, alone)]
            np.testing.assert_allclose(*values, rtol=1e-9, err_msg=name)


def test_friction_decides_whether_the_object_slides():
    # Gravity along the table by tan(20 deg) = .36: less friction than that slides, more sticks.
    half = torch.full((2, 3), 0.025)
    sim = worlds(half, friction=torch.tensor([0.2, 0.6]))
    pose = sim.object_pose.clone()
    pose[:, :3] = torch.tensor([-0.12, 0.0, 0.555])
    everywhere = torch.ones(2, dtype=torch.bool)
    sim.set_state(everywhere, sim.joint_pos, sim.joint_vel, pose, torch.zeros(2, 6))
    sim.object_force[:, 1] = 0.36 * 9.81 * sim.object_mass
    for _ in range(20):
        sim.step()
    moved = sim.object_pose[:, 1] - pose[:, 1]
    # Free share (.36 - .2) g = 1.57 m/s^2 over 1/3 s: 87 mm.
    assert moved[0] == pytest.approx(0.087, rel=0.1)
    assert abs(moved[1]) < 1e-3


def test_heavier_and_larger_objects_accelerate_less():
    # Free boxes of 5 and 6 cm; the third weighs twice what the second does.
    half = torch.tensor([[0.025] * 3, [0.03] * 3, [0.03] * 3])
    mass = torch.tensor([0.05, 0.08, 0.16])
    sim = randomized_worlds(half, object_mass=mass)
    assert torch.equal(sim.object_mass, mass)
    joints, speeds, pose, velocity = reset_arguments(sim)
    pose[:, :3] = torch.tensor([-1.0, -1.0, 2.0])
    sim.set_state(torch.ones(3, dtype=torch.bool), joints, speeds, pose, velocity)
    sim.object_force[:, 0], sim.object_force[:, 3] = 0.1, 1e-4
    for _ in range(6):
        sim.step()
    # 0.1 N for 0.1 s over the mass; 1e-4 N m for 0.1 s over m/3 (hy^2 + hz^2) = 2/3 m h^2.
    torch.testing.assert_close(sim.site_linvel[:, 0, 0], 0.01 / mass, rtol=1e-3, atol=0)
    spin = 1e-5 / (2 / 3 * mass * half[:, 0] ** 2)
    torch.testing.assert_close(sim.site_angvel[:, 0, 0], spin, rtol=1e-3, atol=0)


def test_objects_rest_on_their_own_half_height():
    half = torch.tensor([[0.025] * 3, [0.0275] * 3])
    sim = randomized_worlds(half)
    joints, speeds, pose, velocity = reset_arguments(sim)
    pose[:, 2] = 0.53 + half[:, 2]
    sim.set_state(torch.ones(2, dtype=torch.bool), joints, speeds, pose, velocity)
    for _ in range(30):
        sim.step()
    # The table's top lies at 0.53 m; contacts give by a tenth of a millimetre.
    torch.testing.assert_close(sim.object_pose[:, 2], 0.53 + half[:, 2], rtol=0, atol=2e-4)


def test_load_counts_what_touches_in_every_world():
    half = torch.full((2, 3), 0.05)
    sim = worlds(half)
    posture, speed, pose, rest = on_table(sim, half)
    pose[1, :3] = torch.tensor([-1.0, -1.0, 5.0])
    sim.set_state(everywhere(sim), posture, speed, pose, rest)
    for _ in range(20):
        sim.step()
    load = sim.load()
    assert (load["contacts"][0] - load["contacts"][1]).item() == 4  # the corners of the box
    # A contact of four dimensions with an elliptic cone takes four rows.
    assert (load["rows"][0] - load["rows"][1]).item() == 16


def test_doubled_stiffness_halves_the_error_under_a_load():
    stiffness = torch.ones(3, 23)
    stiffness[1], stiffness[2, 6] = 2.0, 2.0
    sim = randomized_worlds(torch.full((3, 3), 0.025), stiffness=stiffness)
    sim.ctrl[:, 8] = 0.5  # an index finger, flexed to mid-range
    load = sim.sim._batch.bind("qfrc_applied")[:, sim.layout.joint_dof]
    load[:, 6], load[:, 8] = 1.0, 0.1  # N m, on the last joint of the arm and on the finger
    for _ in range(240):
        sim.step()
    error = sim.joint_pos - sim.ctrl
    # load / kp, with kp 40 and 8 N m/rad; gravity is compensated. World 2 has one stiff joint.
    torch.testing.assert_close(error[:, 6], 1.0 / (40 * stiffness[:, 6]), rtol=1e-2, atol=0)
    torch.testing.assert_close(error[:, 8], 0.1 / (8 * stiffness[:, 8]), rtol=1e-2, atol=0)


def test_doubled_damping_halves_the_speed_per_error():
    damping = torch.ones(3, 23)
    damping[1], damping[2, 10] = 2.0, 2.0
    sim = randomized_worlds(torch.full((3, 3), 0.025), damping=damping)
    joint = 10  # the last one of the index finger moves the least mass
    sim.ctrl[:, joint] = sim.joint_pos[:, joint] + 0.03  # 0.24 N m, within the limit of 0.35
    for _ in range(4):
        sim.step()
    speed = sim.joint_vel[:, joint]
    # The drive saw the error of one physics step of 1/120 s before.
    error = (sim.ctrl - sim.joint_pos)[:, joint] + speed / 120
    # Once it has gathered speed, kv v = kp error: kp / kv = 8 / 1 per second. Its inertia of .004
    # kg m^2 adds kp J / kv^2 = 3 %.
    torch.testing.assert_close(speed / error, 8.0 / damping[:, joint], rtol=0.05, atol=0)


def test_object_force_acts_in_the_world_frame_until_rewritten():
    sim = worlds(torch.full((2, 3), 0.025))
    joints, speeds, pose, velocity = reset_arguments(sim)
    pose[:, :3] = torch.tensor([-1.0, -1.0, 2.0])
    pose[:, 3:] = torch.tensor([0.5, 0.5, 0.5, 0.5])
    sim.set_state(torch.ones(2, dtype=torch.bool), joints, speeds, pose, velocity)
    sim.object_force[0, 0] = 0.1
    for _ in range(6):
        sim.step()
    # 0.1 N / 0.05 kg = 2 m/s^2 for 0.1 s.
    assert sim.site_linvel[0, 0, 0] == pytest.approx(0.2, abs=1e-4)
    assert sim.site_linvel[1, 0, 0] == pytest.approx(0.0, abs=1e-6)
    sim.object_force.zero_()
    for _ in range(6):
        sim.step()
    assert sim.site_linvel[0, 0, 0] == pytest.approx(0.2, abs=1e-4)


def test_set_state_takes_world_frame_velocities():
    sim = worlds(random_half_size(4))
    generator = torch.Generator().manual_seed(1)
    joints, speeds, pose, _ = reset_arguments(sim)
    pose[:, :3] = torch.tensor([-1.0, -1.0, 2.0])
    pose[:, 3:] = torch.nn.functional.normalize(torch.randn(4, 4, generator=generator))
    velocity = torch.randn(4, 6, generator=generator)
    speeds = 0.5 * torch.randn(speeds.shape, generator=generator)
    sim.set_state(torch.ones(4, dtype=torch.bool), joints, speeds, pose, velocity)
    # Sensors report the world frame; float32 in and out.
    torch.testing.assert_close(sim.site_linvel[:, 0], velocity[:, :3], atol=1e-5, rtol=0)
    torch.testing.assert_close(sim.site_angvel[:, 0], velocity[:, 3:], atol=1e-5, rtol=0)
    torch.testing.assert_close(sim.site_quat[:, 0], pose[:, 3:], atol=1e-6, rtol=0)
    assert torch.equal(sim.joint_vel, speeds)


def test_masked_reset_leaves_other_worlds_untouched():
    half = random_half_size(6)
    sim, undisturbed = worlds(half), worlds(half)
    mask = torch.tensor([True, False, False, True, False, False])
    joints, speeds, pose, velocity = reset_arguments(sim)
    for each in (sim, undisturbed):
        drive(each, 12)
    before = snapshot(sim)
    sim.set_state(mask, joints, speeds, pose, velocity)
    assert_identical(snapshot(sim), before, ~mask)
    assert torch.equal(sim.joint_pos[mask], joints[mask])
    assert torch.equal(sim.object_pose[mask], pose[mask])
    for _ in range(6):
        sim.step()
        undisturbed.step()
    assert_identical(snapshot(sim), snapshot(undisturbed), ~mask)


def test_reset_worlds_forget_their_past():
    half = random_half_size(2)
    used, fresh = worlds(half), worlds(half)
    arguments = reset_arguments(fresh)
    drive(used, 12)
    for sim in (used, fresh):
        sim.ctrl.copy_(arguments[0])
        sim.object_force.zero_()
        sim.set_state(torch.ones(2, dtype=torch.bool), *arguments)
    for _ in range(6):
        used.step()
        fresh.step()
    assert_identical(snapshot(used), snapshot(fresh))


def test_empty_mask_changes_nothing():
    sim = worlds(random_half_size(2))
    before = snapshot(sim)
    sim.set_state(torch.zeros(2, dtype=torch.bool), *reset_arguments(sim))
    assert_identical(snapshot(sim), before)


def test_guard_flags_a_nan_world_and_recovers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    half = random_half_size(4)
    sim, healthy = worlds(half), worlds(half)
    arguments = reset_arguments(sim)
    sim.object_force[2, 0] = float("nan")
    for each in (sim, healthy):
        each.step()
    mask = torch.tensor([False, False, True, False])
    assert torch.equal(sim.bad, mask)
    assert_identical(snapshot(sim), snapshot(healthy), ~mask)
    sim.object_force.zero_()
    sim.set_state(mask, *arguments)
    assert not sim.bad.any()
    for _ in range(6):
        sim.step()
    assert not sim.bad.any() and sim.joint_pos.isfinite().all()
    # MuJoCo's own log file must not appear in the working directory.
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("velocity", "is_bad"),
    [
        ([0.0, 0.0, 25.0, 0.0, 0.0, 0.0], True),
        ([0.0, 0.0, 15.0, 0.0, 0.0, 0.0], False),
        ([0.0, 0.0, 0.0, 0.0, 0.0, 150.0], True),
        ([0.0, 0.0, 0.0, 0.0, 0.0, 80.0], False),
    ],
)
def test_guard_flags_an_object_that_is_too_fast(velocity, is_bad):
    sim = worlds(torch.full((2, 3), 0.025))
    object_vel = torch.zeros(2, 6)
    object_vel[1] = torch.tensor(velocity)
    joints, speeds, pose, _ = reset_arguments(sim)
    pose[:, :3] = torch.tensor([-1.0, -1.0, 2.0])
    sim.set_state(torch.ones(2, dtype=torch.bool), joints, speeds, pose, object_vel)
    sim.step()
    assert sim.bad.tolist() == [False, is_bad]


@pytest.mark.parametrize("num_arms", [1, 2])
def test_resume_in_a_new_simulator_is_bit_exact(num_arms):
    half = random_half_size(4)
    first = worlds(half, num_arms, num_threads=2)
    drive(first, 20)
    first.goal_pose[:, 0] = 0.25
    state = first.state_dict()
    saved = snapshot(first)
    drive(first, 20, seed=1)
    # Other threads, other history: neither may matter.
    second = worlds(half, num_arms, num_threads=3)
    drive(second, 3, seed=2)
    second.load_state_dict(state)
    assert_identical(snapshot(second), saved)
    assert torch.equal(second.goal_pose[:, 0], torch.full((4,), 0.25))
    drive(second, 20, seed=1)
    assert_identical(snapshot(second), snapshot(first))


def test_state_dict_does_not_change_with_the_simulator():
    sim = worlds(random_half_size(2))
    state = sim.state_dict()
    kept = {name: value.clone() for name, value in state.items()}
    drive(sim, 3)
    assert all(torch.equal(state[name], kept[name]) for name in kept)


def test_state_of_another_size_is_refused():
    with pytest.raises(ValueError, match="same num_envs"):
        worlds(random_half_size(3)).load_state_dict(worlds(random_half_size(2)).state_dict())


def test_wrong_object_shapes_are_refused():
    with pytest.raises(ValueError, match="object_mass"):
        robots(Worlds(random_half_size(2), torch.ones(3)), MujocoCfg())


def test_world_shows_the_goal_and_the_object_of_one_world():
    half = random_half_size(3)
    sim = worlds(half)
    sim.goal_pose[1] = torch.tensor([0.1, 0.2, 0.9, 0.0, 1.0, 0.0, 0.0])
    drive(sim, 3)
    model, data = sim.world(1)
    np.testing.assert_allclose(data.body("goal").xpos, [0.1, 0.2, 0.9], atol=1e-6)
    np.testing.assert_allclose(data.body("goal").xquat, [0.0, 1.0, 0.0, 0.0], atol=1e-6)
    for name in ("object", "goal"):
        np.testing.assert_allclose(model.geom(name).size, half[1].numpy(), rtol=1e-6)
    np.testing.assert_allclose(data.body("object").xpos, sim.object_pose[1, :3], atol=1e-6)


def test_substeps_divide_the_control_step():
    # A free fall does not depend on contacts: half the time step twice as often, same duration.
    half = torch.full((1, 3), 0.025)
    coarse = worlds(half)
    fine = worlds(half, physics=replace(PhysicsCfg(), timestep_s=1 / 240, substeps=4))
    for sim in (coarse, fine):
        sim.step()
        assert sim.site_linvel[0, 0, 2] == pytest.approx(-9.81 / 60, rel=1e-5)
    assert coarse.control_dt_s == pytest.approx(fine.control_dt_s)


def test_close_frees_the_worlds_and_leaves_the_tensors_readable():
    sim = worlds(random_half_size(2))
    rows = weakref.ref(sim.sim._rows.sensors)
    sim.close()
    sim.close()
    gc.collect()
    assert rows() is None
    assert sim.joint_pos.isfinite().all()


def test_compiled_model_is_not_changed_by_the_engine():
    mj, layout = build_scene(1, "box")
    half = random_half_size(2)
    drawn = Worlds(half, box_mass(half))
    model = engine_model(mj, layout, 2)
    RobotWorlds(model, layout, drawn, MujocoCfg(), torch.device("cpu"))
    assert not mj.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_AUTORESET
    np.testing.assert_allclose(mj.geom("object").size, 0.025)
