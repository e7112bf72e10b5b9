"""The GPU engine: zero-copy members, graphs, masked resets, the guard, resume."""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

pytest.importorskip("mujoco.batch")
pytest.importorskip("mujoco_warp", minversion="4.0")

import torch

from epo.cli.environment import CONFIG_DIR
from tasks import registry
from tasks.allegro_kuka.objects import mass as box_mass
from tasks.allegro_kuka.robot_worlds import RobotWorlds
from tasks.allegro_kuka.scene import build_scene, engine_model
from tasks.allegro_kuka.worlds import Worlds
from tasks.engines.config import MujocoWarpCfg
from tests.tasks.allegro_kuka.doubles import task_cfg
from tests.tasks.engines.driving import (
    DEVICES,
    SITES,
    assert_identical,
    drive,
    everywhere,
    in_the_air,
    on_table,
    random_half_size,
    snapshot,
)
from tests.tasks.worlds import robots, warp_worlds, worlds

CPU = torch.device("cpu")
TASKS = sorted(path.stem for path in (CONFIG_DIR / "task").glob("AllegroKuka*.yaml"))


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


def test_members_have_the_shapes_of_the_contract(device):
    for num_arms in (1, 2):
        sim = warp_worlds(random_half_size(3), num_arms, device=device)
        sites, joints = 1 + 5 * num_arms, 23 * num_arms
        shapes = {"joint_pos": [joints], "joint_vel": [joints], "ctrl": [joints]}
        shapes.update(object_pose=[7], goal_pose=[7], object_force=[6], bad=[], object_mass=[])
        shapes.update({name: [sites, 4 if name == "site_quat" else 3] for name in SITES})
        shapes["wall_pose"] = [0]
        for name, shape in shapes.items():
            assert list(getattr(sim, name).shape) == [3, *shape], name
            expected = torch.bool if name == "bad" else torch.float32
            assert getattr(sim, name).dtype == expected, name
            assert getattr(sim, name).device == sim.device, name
        assert sim.joint_lower.shape == sim.joint_upper.shape == (joints,)
        assert sim.control_dt_s == pytest.approx(1 / 60)
        assert set(sim.versions) == {"mujoco", "mujoco_warp", "warp"}


def test_begins_where_the_cpu_engine_begins(device):
    half = random_half_size(3)
    ours, theirs = (
        warp_worlds(half, 2, wall="partition", device=device),
        worlds(half, 2, wall="partition"),
    )
    for name in (
        "joint_pos",
        "object_pose",
        "wall_pose",
        "ctrl",
        "goal_pose",
        "joint_upper",
        *SITES,
    ):
        # float32 kinematics of a 1.5 m chain: some 1e-7.
        torch.testing.assert_close(
            getattr(ours, name).cpu(), getattr(theirs, name), atol=1e-6, rtol=0
        )
    assert not ours.bad.any()


def test_object_force_acts_in_the_world_frame_until_rewritten(device):
    sim = warp_worlds(torch.full((2, 3), 0.025), device=device)
    posture, speed, pose, rest = in_the_air(sim)
    pose[:, 3:] = 0.5
    sim.set_state(everywhere(sim), posture, speed, pose, rest)
    sim.object_force[0, 0] = 0.1
    for _ in range(6):
        sim.step()
    # 0.1 N / 0.05 kg = 2 m/s^2 for 0.1 s.
    assert sim.site_linvel[0, 0, 0].item() == pytest.approx(0.2, abs=1e-4)
    assert sim.site_linvel[1, 0, 0].item() == pytest.approx(0.0, abs=1e-6)
    sim.object_force.zero_()
    for _ in range(6):
        sim.step()
    assert sim.site_linvel[0, 0, 0].item() == pytest.approx(0.2, abs=1e-4)


def test_set_state_takes_world_frame_velocities(device):
    sim = warp_worlds(random_half_size(4), device=device)
    generator = torch.Generator().manual_seed(1)
    posture, speed, pose, _ = in_the_air(sim)
    pose[:, 3:] = torch.nn.functional.normalize(torch.randn(4, 4, generator=generator))
    velocity = torch.randn(4, 6, generator=generator).to(device)
    speed = 0.5 * torch.randn(speed.shape, generator=generator).to(device)
    sim.set_state(everywhere(sim), posture, speed, pose, velocity)
    # Sensors report the world frame; float32 throughout.
    torch.testing.assert_close(sim.site_linvel[:, 0], velocity[:, :3], atol=1e-5, rtol=0)
    torch.testing.assert_close(sim.site_angvel[:, 0], velocity[:, 3:], atol=1e-5, rtol=0)
    torch.testing.assert_close(sim.site_quat[:, 0], pose[:, 3:], atol=1e-6, rtol=0)
    assert torch.equal(sim.joint_vel, speed)


def test_masked_reset_leaves_other_worlds_untouched(device):
    half = random_half_size(6)
    sim, undisturbed = warp_worlds(half, device=device), warp_worlds(half, device=device)
    mask = torch.tensor([True, False, False, True, False, False], device=device)
    start = on_table(sim, half)
    for each in (sim, undisturbed):
        each.set_state(everywhere(each), *start)
        drive(each, 12)
    before, warmstart = snapshot(sim), sim.state_dict()["qacc_warmstart"]
    sim.set_state(mask, *start)
    assert_identical(snapshot(sim), before, ~mask)
    after = sim.state_dict()["qacc_warmstart"]
    assert torch.equal(after[~mask], warmstart[~mask]) and not after[mask].any()
    assert torch.equal(sim.joint_pos[mask], start[0][mask])
    assert torch.equal(sim.object_pose[mask], start[2][mask])
    if device == "cpu":  # On a GPU the order of sums differs from run to run.
        for each in (sim, undisturbed):
            drive(each, 6, seed=1)
        assert_identical(snapshot(sim), snapshot(undisturbed), ~mask)


def test_reset_worlds_forget_their_past():
    half = random_half_size(2)
    used, fresh = warp_worlds(half), warp_worlds(half)
    start = on_table(fresh, half)
    drive(used, 12)
    for sim in (used, fresh):
        sim.ctrl.copy_(start[0])
        sim.object_force.zero_()
        sim.set_state(everywhere(sim), *start)
        for _ in range(6):
            sim.step()
    assert_identical(snapshot(used), snapshot(fresh))


def test_empty_mask_changes_nothing(device):
    half = random_half_size(2)
    sim = warp_worlds(half, device=device)
    drive(sim, 2)
    before = snapshot(sim)
    sim.set_state(~everywhere(sim), *on_table(sim, half))
    assert_identical(snapshot(sim), before)


def test_reset_puts_the_movable_wall_back(device):
    sim = warp_worlds(random_half_size(2), 2, wall="partition", device=device)
    start = sim.wall_pose.clone()
    state = sim.state_dict()
    wall = sim.layout.wall_qpos
    state["qpos"][:, wall] += torch.tensor([0.05, 0, 0, 0, 0, 0, 0], device=device)
    state["qvel"][:, sim.layout.wall_dof] = 0.3
    sim.load_state_dict(state)
    moved = sim.wall_pose.clone()
    mask = torch.tensor([True, False], device=device)
    sim.set_state(mask, *on_table(sim, random_half_size(2)))
    assert torch.equal(sim.wall_pose, torch.where(mask[:, None], start, moved))
    speed = sim.state_dict()["qvel"][:, sim.layout.wall_dof]
    assert not speed[0].any() and torch.equal(speed[1], torch.full_like(speed[1], 0.3))


def test_bucket_is_where_the_goal_is(device):
    half = torch.full((2, 3), 0.025)
    sim = warp_worlds(half, goal="bucket", device=device)
    posture, speed, pose, rest = in_the_air(sim)
    pose[:, :3] = torch.tensor([-0.6, -0.2, 0.55], device=device)
    # World 0 has its bucket around the box, world 1 elsewhere.
    sim.goal_pose[0, :3] = torch.tensor([-0.6, -0.2, 0.5], device=device)
    sim.goal_pose[1, :3] = torch.tensor([0.5, -0.5, 0.5], device=device)
    sim.set_state(everywhere(sim), posture, speed, pose, rest)
    for _ in range(30):
        sim.step()
    # The bucket's floor ends .0099 - .05 from the goal point; the box's centre is .025 above.
    assert sim.object_pose[0, 2].item() == pytest.approx(0.5 - 0.0401 + 0.025, abs=1e-3)
    assert sim.object_pose[1, 2].item() < 0.1


def test_objects_rest_on_their_own_half_height(device):
    half = random_half_size(8)
    sim = warp_worlds(half, device=device)
    sim.set_state(everywhere(sim), *on_table(sim, half))
    for _ in range(40):
        sim.step()
    # The table's top lies at 0.53 m; contacts give by a tenth of a millimetre.
    torch.testing.assert_close(sim.object_pose[:, 2].cpu(), 0.53 + half[:, 2], rtol=0, atol=2e-4)


def test_guard_flags_a_nan_world_and_recovers(device):
    half = random_half_size(4)
    sim, healthy = warp_worlds(half, device=device), warp_worlds(half, device=device)
    start = in_the_air(sim)
    sim.object_force[2, 0] = float("nan")
    for each in (sim, healthy):
        each.step()
    mask = torch.tensor([False, False, True, False], device=device)
    assert torch.equal(sim.bad, mask)
    for name, value in snapshot(sim).items():
        expected = getattr(healthy, name)
        torch.testing.assert_close(value[~mask], expected[~mask], atol=1e-5, rtol=0, msg=name)
    assert sim.counters.read()["bad_worlds"] == 1
    sim.object_force.zero_()
    sim.set_state(mask, *start)
    assert not sim.bad.any()
    for _ in range(6):
        sim.step()
    assert not sim.bad.any() and sim.joint_pos.isfinite().all()
    assert sim.counters.read()["bad_worlds"] == 1


@pytest.mark.parametrize(
    ("velocity", "is_bad"),
    [
        ([0.0, 0.0, 25.0, 0.0, 0.0, 0.0], True),
        ([0.0, 0.0, 15.0, 0.0, 0.0, 0.0], False),
        ([0.0, 0.0, 0.0, 0.0, 0.0, 150.0], True),
        ([0.0, 0.0, 0.0, 0.0, 0.0, 80.0], False),
    ],
)
def test_guard_flags_an_object_that_is_too_fast(velocity, is_bad, device):
    sim = warp_worlds(torch.full((2, 3), 0.025), device=device)
    posture, speed, pose, object_vel = in_the_air(sim)
    object_vel[1] = torch.tensor(velocity)
    sim.set_state(everywhere(sim), posture, speed, pose, object_vel)
    sim.step()
    assert sim.bad.tolist() == [False, is_bad]


def test_a_step_by_graph_equals_a_step_by_kernels(device):
    half = random_half_size(4)
    graph, kernels = (warp_worlds(half, device=device, graph=use) for use in (True, False))
    for sim in (graph, kernels):
        start = on_table(sim, half)
        sim.set_state(everywhere(sim), *start)
        drive(sim, 8)
        sim.set_state(torch.tensor([True, False, False, True], device=device), *start)
        drive(sim, 4, seed=1)
    if device == "cpu":
        assert_identical(snapshot(graph), snapshot(kernels))
    for name, value in snapshot(graph).items():
        # On a GPU the order of sums differs from run to run; see test_engine_parity.
        difference = (value.float() - getattr(kernels, name).float()).abs()
        assert difference.median() < 1e-5, name


def test_resume_in_a_new_simulator_is_bit_exact():
    half = random_half_size(4)
    first = warp_worlds(half)
    first.set_state(everywhere(first), *on_table(first, half))
    drive(first, 20)
    first.goal_pose[:, 0] = 0.25
    state, saved = first.state_dict(), snapshot(first)
    drive(first, 20, seed=1)
    second = warp_worlds(half)
    drive(second, 3, seed=2)
    second.load_state_dict(state)
    assert_identical(snapshot(second), saved)
    assert torch.equal(second.goal_pose[:, 0], torch.full((4,), 0.25))
    drive(second, 20, seed=1)
    assert_identical(snapshot(second), snapshot(first))


def test_state_dict_does_not_change_with_the_simulator(device):
    sim = warp_worlds(random_half_size(2), device=device)
    state = sim.state_dict()
    kept = {name: value.clone() for name, value in state.items()}
    drive(sim, 3)
    assert all(torch.equal(state[name], kept[name]) for name in kept)


def test_state_of_another_size_or_engine_is_refused():
    half = random_half_size(2)
    sim = warp_worlds(half)
    with pytest.raises(ValueError, match="same num_envs, task and engine"):
        sim.load_state_dict(warp_worlds(random_half_size(3)).state_dict())
    with pytest.raises(ValueError, match="same num_envs, task and engine"):
        sim.load_state_dict(worlds(half).state_dict())


def test_world_shows_the_goal_and_the_object_of_one_world(device):
    half = random_half_size(3)
    sim = warp_worlds(half, device=device)
    drive(sim, 3)
    sim.goal_pose[1] = torch.tensor([0.1, 0.2, 0.9, 0.0, 1.0, 0.0, 0.0])
    model, data = sim.world(1)
    np.testing.assert_allclose(data.body("goal").xpos, [0.1, 0.2, 0.9], atol=1e-6)
    np.testing.assert_allclose(data.body("goal").xquat, [0.0, 1.0, 0.0, 0.0], atol=1e-6)
    for name in ("object", "goal"):
        np.testing.assert_allclose(model.geom(name).size, half[1].numpy(), rtol=1e-6)
    np.testing.assert_allclose(data.body("object").xpos, sim.object_pose[1, :3].cpu(), atol=1e-6)
    np.testing.assert_allclose(data.qvel[sim.layout.joint_dof], sim.joint_vel[1].cpu())


def test_close_frees_the_worlds_and_leaves_the_tensors_readable(device):
    sim = warp_worlds(random_half_size(2), device=device)
    data = weakref.ref(sim.sim._data)
    sim.close()
    sim.close()
    gc.collect()
    assert data() is None
    assert sim.joint_pos.isfinite().all()


def test_compiled_model_is_not_changed_by_the_engine():
    mj, layout = build_scene(1, "box")
    half = random_half_size(2)
    before = mj.opt.iterations
    drawn, model = Worlds(half, box_mass(half)), engine_model(mj, layout, 2)
    RobotWorlds(model, layout, drawn, MujocoWarpCfg(), CPU)
    assert mj.opt.iterations == before
    np.testing.assert_allclose(mj.geom("object").size, 0.025)


def test_wrong_object_shapes_are_refused():
    wrong = Worlds(random_half_size(2), torch.ones(3))
    with pytest.raises(ValueError, match="object_mass"):
        robots(wrong, MujocoWarpCfg())


@pytest.mark.parametrize("name", TASKS)
def test_every_task_runs_finite_under_random_actions(name):
    env = registry.make(task_cfg(name), MujocoWarpCfg(), 8, CPU, 0)
    generator = torch.Generator().manual_seed(0)
    assert env.reset().shape == (8, env.spec.observation_dim)
    for _ in range(20):
        action = 2 * torch.rand(8, env.spec.action_dim, generator=generator) - 1
        step = env.step(action)
        assert step.observation.isfinite().all() and step.reward.isfinite().all()
    assert (env.sim.object_pose[:, 2] > 0.5).all()
    assert env.sim.site_linvel[:, 1].norm(dim=-1).min() > 0
    assert not any(env.sim.counters.read().values())
    env.close()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_step_and_reset_never_wait_for_the_device_nor_allocate():
    half = random_half_size(64)
    sim = warp_worlds(half, device="cuda")
    start, mask = on_table(sim, half), everywhere(sim)
    mask[::2] = False
    for _ in range(3):
        sim.step()
        sim.set_state(mask, *start)
    allocated = torch.cuda.memory_allocated()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(300):  # Beyond two looks at the counters.
            sim.step()
            sim.set_state(mask, *start)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.cuda.memory_allocated() == allocated
    assert not sim.bad.any()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_physics_follows_the_stream_that_torch_works_on():
    sim = warp_worlds(torch.full((4096, 3), 0.025), device="cuda")
    start, stream = in_the_air(sim), torch.cuda.Stream()
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        for speed in (1.0, 2.0, 3.0):
            start[3][:, 0] = speed
            sim.set_state(everywhere(sim), *start)
            sim.step()
            # No collision, no force: read on the same stream, nothing may be stale.
            seen = sim.site_linvel[:, 0, 0].clone()
            stream.synchronize()
            torch.testing.assert_close(seen, torch.full_like(seen, speed), atol=1e-4, rtol=0)
