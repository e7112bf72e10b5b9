"""Walls between two arms: what they let through, and the partition that falls and stands again."""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

pytest.importorskip("mujoco.batch")

import torch
from torch import Tensor

from tasks import registry
from tasks.allegro_kuka.scene import build_scene
from tasks.engines.config import MujocoCfg
from tests.tasks.allegro_kuka.doubles import task_cfg
from tests.tasks.worlds import worlds

FACE_M = 0.025
"""Half the thickness of every wall."""
SHOULDER_ELBOW_WRIST = [1, 3, 5]
# The stretched hand of arm 0 from x = -.12 to .02 at z = .74: joints 2, 4 and 6, rad.
PUSH = torch.tensor(
    [[0.391, -1.098, 0.082], [0.642, -0.722, 0.207], [0.821, -0.420, 0.330], [1.084, 0.078, 0.562]]
)
PUSH_STEPS = 90


def throw_cubes(wall: str, places: list[tuple[float, float]]) -> Tensor:
    """Let weightless cubes of 5 cm fly at the wall, 1 m/s at y, z; give how far each came."""
    half = torch.full((len(places), 3), 0.025)
    sim = worlds(half, 2, wall=wall)
    pose, velocity = sim.object_pose.clone(), torch.zeros(len(places), 6)
    pose[:, 0] = -0.2
    pose[:, 1:3] = torch.tensor(places)
    velocity[:, 0] = 1.0
    everywhere = torch.ones(len(places), dtype=torch.bool)
    sim.object_force[:, 2] = 9.81 * sim.object_mass
    sim.set_state(everywhere, sim.joint_pos.clone(), sim.joint_vel.clone(), pose, velocity)
    farthest = pose[:, 0].clone()
    for _ in range(24):  # 0.4 s: freely as far as x = .2
        sim.step()
        farthest = torch.maximum(farthest, sim.object_pose[:, 0])
    return farthest


ACROSS = (-0.15, 0.0, 0.15)
OPEN = {"none": (0.7, 0.9, 1.1), "hole": (0.9,), "barrier": (), "partition": (0.9, 1.1)}
"""Heights at which a cube passes above the table, |y| < .2."""


@pytest.mark.parametrize("wall", OPEN)
def test_wall_lets_cubes_through_only_where_it_is_open(wall: str) -> None:
    places = list(product(ACROSS, (0.7, 0.9, 1.1)))
    farthest = throw_cubes(wall, places)
    for (_, z), x in zip(places, farthest.tolist(), strict=True):
        if z in OPEN[wall]:
            assert x > 0.15
        else:  # The cube's centre stops half an edge before the face, give or take a soft contact.
            assert x == pytest.approx(-FACE_M - 0.025, abs=0.01)


@pytest.mark.parametrize("wall", OPEN)
def test_every_wall_leaves_its_sides_open(wall: str) -> None:
    farthest = throw_cubes(wall, list(product((-0.24, 0.24), (0.7, 0.9, 1.1))))
    assert (farthest > 0.15).all()


def test_hole_begins_and_ends_where_the_original_has_it() -> None:
    # A cube of 5 cm fits between z = .8 and 1 with its centre from .825 to .975.
    passes = throw_cubes("hole", [(0.0, z) for z in (0.82, 0.83, 0.97, 0.98)]) > 0.15
    assert passes.tolist() == [False, True, True, False]


@pytest.mark.parametrize("wall", ["hole", "barrier", "partition"])
def test_wall_does_not_move_what_is_at_rest(wall: str) -> None:
    sim = worlds(torch.full((2, 3), 0.025), 2, wall=wall)
    for _ in range(300):
        sim.step()
    assert sim.wall_pose.shape == (2, 7 if wall == "partition" else 0)
    if wall == "partition":
        # 15 cm above the table, upright, less the sinking of a soft contact.
        expected = torch.tensor([0.0, 0.0, 0.68, 1.0, 0.0, 0.0, 0.0]).expand(2, 7)
        torch.testing.assert_close(sim.wall_pose, expected, rtol=0, atol=2e-4)
    torch.testing.assert_close(sim.joint_pos, sim.ctrl, rtol=0, atol=1e-6)
    assert (sim.object_pose[:, 0] - 0.35).abs().max() < 1e-3


def begin_push(sim: Any) -> None:
    """Put the stretched hand of arm 0 before the wall."""
    posture = sim.joint_pos.clone()
    posture[:, SHOULDER_ELBOW_WRIST] = PUSH[0]
    sim.ctrl.copy_(posture)
    everywhere = torch.ones(sim.num_envs, dtype=torch.bool)
    at_rest = torch.zeros(sim.num_envs, 6)
    sim.set_state(everywhere, posture, torch.zeros_like(posture), sim.object_pose.clone(), at_rest)


def push_target(step: int) -> Tensor:
    """Targets of joints 2, 4 and 6 that push for half a second, [3] rad."""
    place = min(step / 10, 2.999)
    return torch.lerp(PUSH[int(place)], PUSH[int(place) + 1], place % 1)


def uprightness(wall_pose: Tensor) -> Tensor:
    """Return the cosine of the tilt [N] of a wall at `wall_pose` [N, 7] wxyz."""
    return 1 - 2 * wall_pose[:, 4:6].square().sum(1)


def test_barrier_stops_the_hand_that_topples_the_partition() -> None:
    for wall in ("barrier", "partition"):
        sim = worlds(torch.full((1, 3), 0.025), 2, wall=wall)
        begin_push(sim)
        farthest = -1.0
        for step in range(PUSH_STEPS):
            sim.ctrl[:, SHOULDER_ELBOW_WRIST] = push_target(step)
            sim.step()
            farthest = max(farthest, sim.site_pos[0, 3:7, 0].max().item())
        if wall == "partition":
            assert uprightness(sim.wall_pose).item() < 0.7
        # The last links' frames lie 37 mm, their boxes' length, behind the fingers' ends.
        assert (farthest < -FACE_M - 0.03) == (wall == "barrier")


def test_partition_stands_again_after_an_episode_but_not_after_a_goal() -> None:
    at_home = ("reset.arm=0", "reset.hand=0", "reset.joint_velocity=0")
    cfg = task_cfg("AllegroKukaTwoArmsReorientationPartition", "force.scale=0", *at_home)
    env: Any = registry.make(cfg, MujocoCfg(num_threads=2), 2, torch.device("cpu"), 0)
    env.reset()
    sim = env.sim
    start = torch.tensor([0.0, 0.0, 0.681, 1.0, 0.0, 0.0, 0.0])  # 1 mm above the table, upright
    torch.testing.assert_close(sim.wall_pose, start.repeat(2, 1))
    begin_push(sim)
    target, action = sim.ctrl.clone(), torch.zeros(2, 46)
    for step in range(PUSH_STEPS):
        target[:, SHOULDER_ELBOW_WRIST] = push_target(step)
        # Actions -1 and 1 are the ends of the joint range.
        action = 2 * (target - sim.joint_lower) / (sim.joint_upper - sim.joint_lower) - 1
        env.step(action)
    assert (uprightness(sim.wall_pose) < 0.7).all()
    fallen = sim.wall_pose.clone()

    # World 0 reaches its goal, world 1 the end of its time.
    env.goal_pose[0] = sim.object_pose[0]
    env.episode = replace(env.episode, progress=torch.tensor([0, cfg.episode_length - 2]))
    goal = env.goal_pose.clone()
    step = env.step(action)
    assert step.metrics["successes"].tolist() == [1.0, 0.0]
    assert step.truncated.tolist() == [False, True]
    assert (env.goal_pose[:, :3] != goal[:, :3]).any(1).all()
    assert uprightness(sim.wall_pose)[0] < 0.7
    assert (sim.wall_pose[0] - fallen[0]).abs().max() < 0.2  # Still falling, not replaced.
    torch.testing.assert_close(sim.wall_pose[1], start)
    env.close()


def test_unknown_wall_is_refused() -> None:
    with pytest.raises(ValueError, match="wall='door': choose one of none, partition"):
        build_scene(2, "box", wall="door")
