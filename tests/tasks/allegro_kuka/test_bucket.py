"""The bucket of the throw task: its shape, what it holds, and what a throw into it pays."""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

from math import cos, pi
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mujoco.batch")

import mujoco
import torch
from torch import Tensor

from tasks import registry
from tasks.allegro_kuka.bucket import FLOOR_M, GOAL_HEIGHT_M, HEIGHT_M, INNER_M, OUTER_M
from tasks.allegro_kuka.geometry import random_quaternion
from tasks.allegro_kuka.objects import half_size, object_scales
from tasks.allegro_kuka.robot_model import STATIC_BIT
from tasks.allegro_kuka.scene import build_scene
from tasks.engines.config import MujocoCfg
from tests.tasks.allegro_kuka.doubles import task_cfg
from tests.tasks.worlds import worlds

GOAL = (0.6, -0.6, 0.5)


@pytest.fixture(scope="module")
def alone():
    """The bucket with its underside at the origin and its axis along z."""
    model, layout = build_scene(1, "bucket")
    data = mujoco.MjData(model)
    data.mocap_pos[layout.goal_mocap] = 0.0, 10.0 + 0.002, GOAL_HEIGHT_M  # Far from all else.
    mujoco.mj_forward(model, data)
    return model, data


def distance(bucket, start, direction) -> float:
    """Return how far a ray goes from `start`, relative to the axis at the underside; m."""
    model, data = bucket
    origin, hit = np.add(start, (0.0, 10.0, 0.0)), np.zeros(1, np.int32)
    return mujoco.mj_ray(model, data, origin, np.array(direction), None, 1, -1, hit)


def side_m(ends, height: float, bottom: float) -> float:
    """Return the original's distance from the axis to a side at `height`, m."""
    share = (height - bottom) / (HEIGHT_M - bottom)
    return (ends[0] + share * (ends[1] - ends[0])) * cos(pi / 12)


@pytest.mark.parametrize("height", [0.02, 0.1, 0.19])
def test_wall_has_the_radii_of_the_original(alone, height: float) -> None:
    for angle in np.radians(15 + 30 * np.arange(12)):  # The middles of the sides.
        out = np.array([cos(angle), np.sin(angle), 0.0])
        inner = distance(alone, (0.0, 0.0, height), out)
        outer = 0.3 - distance(alone, (*(0.3 * out[:2]), height), -out)
        # A box is as thick all over; the original is 12 mm thick below and 16 mm at the rim.
        assert inner == pytest.approx(side_m(INNER_M, height, FLOOR_M), abs=2e-3)
        assert outer == pytest.approx(side_m(OUTER_M, height, 0.0), abs=2e-3)


def test_bucket_has_no_gap(alone) -> None:
    for height in np.linspace(0.0, HEIGHT_M, 12)[1:-1]:
        for angle in np.radians(np.arange(0.5, 360.0, 2.5)):
            out = (cos(angle), np.sin(angle), 0.0)
            assert 0.0 < distance(alone, (0.0, 0.0, height + 1e-4), out) < 0.105
    for x, y in np.random.default_rng(0).uniform(-0.06, 0.06, (200, 2)):
        if np.hypot(x, y) < side_m(INNER_M, FLOOR_M, FLOOR_M):
            depth = distance(alone, (x, y, 0.15), (0.0, 0.0, -1.0))
            # The floor, or the foot of a stave.
            assert 0.15 - FLOOR_M - 0.02 < depth < 0.15 - FLOOR_M + 1e-6


def test_bucket_is_made_of_boxes_that_block(alone) -> None:
    model, _ = alone
    geoms = np.flatnonzero(model.geom_bodyid == model.body("goal").id)
    assert len(geoms) == 12 + 3
    # Boxes and capsules have closed-form colliders; cylinders and meshes have not.
    assert (model.geom_type[geoms] == mujoco.mjtGeom.mjGEOM_BOX).all()
    assert (model.geom_contype[geoms] == STATIC_BIT).all()
    assert (model.geom_conaffinity[geoms] == 0).all()


def release(half: Tensor, offset: tuple[float, float, float], velocity: tuple[float, float, float]):
    """Release boxes of `half` [N, 3] at `offset` from the goal point, turned anyhow; m, m/s.

    Returns:
        [N, 3] where they are after 2 s, relative to the goal point, m.
    """
    num = len(half)
    sim = worlds(half, goal="bucket")
    sim.goal_pose[:, :3] = torch.tensor(GOAL)
    pose, speed = sim.goal_pose.clone(), torch.zeros(num, 6)
    generator = torch.Generator().manual_seed(0)
    pose[:, :3] += torch.tensor(offset)
    pose[:, :2] += 0.02 * (2 * torch.rand(num, 2, generator=generator) - 1)
    pose[:, 3:] = random_quaternion(torch.rand(num, 3, generator=generator))
    speed[:, :3] = torch.tensor(velocity)
    everywhere = torch.ones(num, dtype=torch.bool)
    sim.set_state(everywhere, sim.joint_pos.clone(), sim.joint_vel.clone(), pose, speed)
    for _ in range(120):
        sim.step()
    assert not sim.bad.any()
    return sim.object_pose[:, :3] - torch.tensor(GOAL)


def is_inside(position: Tensor) -> Tensor:
    """Tell which boxes [N, 3] lie on the floor within the wall; [N] bool."""
    height = position[:, 2] + GOAL_HEIGHT_M
    return (position[:, :2].norm(dim=1) < 0.09) & (height > FLOOR_M) & (height < HEIGHT_M)


def test_boxes_dropped_into_the_bucket_stay_in_it() -> None:
    half = half_size(object_scales(["small_cuboids"]))
    half = half[half.amax(1) <= 0.05][::5]  # Up to 10 cm long: longer ones stick out.
    assert len(half) > 50
    at_rest = release(half, (0.0, 0.0, 0.5), (0.0, 0.0, 0.0))
    assert is_inside(at_rest).all()
    # The lowest centres are half the thinnest box, 12.5 mm, above the floor.
    assert at_rest[:, 2].min() > -GOAL_HEIGHT_M + FLOOR_M + 0.0115


def test_boxes_thrown_at_the_outside_do_not_get_in() -> None:
    half = torch.full((32, 3), 0.025)
    assert not is_inside(release(half, (-0.3, 0.0, 0.05), (1.5, 0.0, 0.5))).any()
    # Higher up they fly in.
    assert is_inside(release(half, (-0.4, 0.0, 0.4), (1.75, 0.0, 0.0))).float().mean() > 0.9


def test_bucket_stops_the_hand() -> None:
    model, layout = build_scene(1, "bucket")
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, layout.home_key)
    mujoco.mj_kinematics(model, data)
    # The fingertip is in the floor.
    tip = data.site("arm0/middle_tip").xpos
    data.mocap_pos[layout.goal_mocap] = tip + np.array([0.0, 0.0, GOAL_HEIGHT_M])
    mujoco.mj_forward(model, data)
    touched = {model.body(i).name for c in data.contact for i in model.geom_bodyid[c.geom]}
    assert "goal" in touched and any(name.startswith("arm0/middle") for name in touched)


def test_box_in_the_bucket_pays_and_both_are_placed_anew() -> None:
    env: Any = registry.make(
        task_cfg("AllegroKukaThrow"), MujocoCfg(num_threads=2), 4, torch.device("cpu"), 0
    )
    env.reset()
    sim = env.sim
    env.goal_pose[:, 2] = 0.5  # Below 0.1 m the box would count as fallen, bucket or not.
    sim.goal_pose.copy_(env.goal_pose)
    goal, paid = env.goal_pose.clone(), torch.zeros(4)
    everywhere, at_rest = torch.ones(4, dtype=torch.bool), torch.zeros(4, 6)
    for t in range(5):
        arm = sim.joint_pos.clone(), sim.joint_vel.clone()
        sim.set_state(everywhere, *arm, goal, at_rest)
        step = env.step(torch.zeros(4, 23))
        paid += env.terms[4]
        assert step.metrics["successes"].tolist() == [float(t == 4)] * 4
        assert torch.equal(env.goal_pose, goal) == (t < 4)
    torch.testing.assert_close(paid, torch.full((4,), 1000.0))
    torch.testing.assert_close(step.metrics["fitness"], torch.full((4,), 2.0))  # 1 success + 1
    assert not (step.terminated | step.truncated).any()
    # The box is back over the table; the robot is where it was.
    assert (
        (sim.object_pose[:, :2].abs() <= 0.1 + 1e-6).all(1) & (sim.object_pose[:, 2] > 0.6)
    ).all()
    assert (sim.joint_pos - arm[0]).abs().max() < 0.1
    # The bucket itself has moved, not only its pose: boxes put into it come to rest in it.
    sim.set_state(everywhere, *arm, env.goal_pose.clone(), at_rest)
    for _ in range(60):
        sim.step()
    assert is_inside(sim.object_pose[:, :3] - env.goal_pose[:, :3]).all()
    for i in range(4):
        torch.testing.assert_close(
            torch.from_numpy(sim.world(i)[1].mocap_pos[0]).float(), env.goal_pose[i, :3]
        )
    env.close()
