from __future__ import annotations

import math

import pytest
import torch

from tasks.allegro_kuka.observations import dimension, measured, scale_joints
from tests.tasks.allegro_kuka.doubles import StillSim, put_object, still_env, task_cfg

SIZES = {
    "AllegroKukaReorientation": 117,
    "AllegroKukaRegrasping": 99,
    "AllegroKukaThrow": 99,
    "AllegroKukaTwoArmsReorientation": 196,
    "AllegroKukaTwoArmsReorientationPartition": 196,
    "AllegroKukaTwoArmsReorientationHole": 196,
    "AllegroKukaTwoArmsReorientationBarrier": 196,
    "AllegroKukaTwoArmsRegrasping": 169,
}


@pytest.mark.parametrize("name", SIZES)
def test_observation_has_the_size_of_the_original(name: str) -> None:
    env = still_env(task_cfg(name))
    assert dimension(env.cfg.subtask, env.cfg.num_arms) == SIZES[name] == env.spec.observation_dim
    assert env.reset().shape == (4, SIZES[name])


def test_blocks_of_one_arm_regrasping_lie_where_the_original_has_them() -> None:
    env = still_env(task_cfg("AllegroKukaRegrasping", "force.scale=0"), num_envs=1)
    env.reset()
    sim = env.sim
    put_object(env, [0.0, 0.0, 0.7])
    sim.site_linvel[0, 1] = torch.tensor([0.1, 0.2, 0.3])
    sim.site_angvel[0, 0] = torch.tensor([0.4, 0.5, 50.0])
    sim.joint_vel.fill_(0.25)
    observation = env.step(torch.zeros(1, 23)).observation[0]

    def block(begin: int, end: int) -> list:
        return [round(x, 4) for x in observation[begin:end].tolist()]

    assert block(23, 46) == [0.25] * 23
    assert block(46, 49) == [0.0, -0.02, 0.16]  # palm point, palm link at the origin, unturned
    assert block(49, 53) == [0.0, 0.0, 0.0, 1.0]  # xyzw
    assert block(53, 56) == [0.1, 0.2, 0.3]
    assert block(66, 69) == [0.4, 0.5, 10.0]  # clamped
    assert block(69, 72) == [0.05, 0.025, -0.16]  # index tip (.05, .005, 0) minus palm point
    assert block(78, 81) == [0.06, 0.025, -0.16]  # thumb tip
    assert block(81, 84) == [0.0, 0.02, 0.54]  # object minus palm point
    to_goal = sim.object_pose[0, :3] - sim.goal_pose[0, :3]
    torch.testing.assert_close(observation[84:87], to_goal)
    assert block(87, 90) == [4.0, 0.75, 1.0]  # scale of the first object
    torch.testing.assert_close(observation[90], to_goal.norm())
    assert block(95, 98) == [0.0, round(math.log(1.1), 4), 0.0]  # lifted, ln(1/10 + 1), ln 1
    # Joint speeds 0.25: -0.003 x 7 x 0.25 - 0.0003 x 16 x 0.25 = -0.00645; lifting 20 x 0.12.
    assert block(98, 99) == [round(0.01 * (20 * 0.12 - 0.00645), 4)]


def test_wall_pose_is_appended_only_where_it_is_observed() -> None:
    overrides = ("force.scale=0", "wall=partition")
    pose = torch.tensor([0.1, -0.2, 0.6, 0.5, 0.1, 0.2, 0.3])  # wxyz

    def observed(*more: str) -> torch.Tensor:
        cfg = task_cfg("AllegroKukaTwoArmsReorientation", *overrides, *more)
        sim = StillSim(3, 2)
        sim.wall_pose = pose.repeat(3, 1)
        sim.wall_pose[1, 0] = 20.0
        env = still_env(cfg, 3, sim=sim)
        first, step = env.reset(), env.step(torch.zeros(3, 46))
        assert env.spec.observation_dim == first.shape[1]
        assert torch.equal(first[:, 196:], step.final_observation[:, 196:])
        return step.observation

    blind, seeing = observed(), observed("observe_wall=true")
    assert blind.shape == (3, 196)
    assert seeing.shape == (3, 203)
    assert torch.equal(seeing[:, :196], blind)
    xyzw = torch.tensor([0.1, -0.2, 0.6, 0.1, 0.2, 0.3, 0.5])
    assert torch.equal(seeing[[0, 2], 196:], xyzw.repeat(2, 1))
    assert seeing[1, 196] == 10.0  # clamped


@pytest.mark.parametrize("name", SIZES)
def test_bookkeeping_is_not_measured(name: str) -> None:
    cfg = task_cfg(name)
    mask = measured(cfg, torch.device("cpu"))
    assert mask.shape == (SIZES[name],)
    # Scale 3, closest distances 5 (two arms: 1), lifted, progress, successes, reward.
    books = 3 + (5 if cfg.num_arms == 1 else 1) + 4
    assert mask[:-books].all()
    assert not mask[-books:].any()


def test_pose_of_the_wall_is_measured() -> None:
    cfg = task_cfg("AllegroKukaTwoArmsReorientation", "wall=partition", "observe_wall=true")
    mask = measured(cfg, torch.device("cpu"))
    assert mask.nonzero()[:, 0].tolist() == [*range(188), *range(196, 203)]


def test_scaled_joints_are_one_at_the_limits() -> None:
    lower, upper = torch.tensor([-1.0, 0.0]), torch.tensor([3.0, 0.5])
    ends = torch.stack((lower, upper, 0.5 * (lower + upper)))
    assert scale_joints(ends, lower, upper).tolist() == [[-1, -1], [1, 1], [0, 0]]


def test_scaled_joints_start_within_the_limits() -> None:
    observation = still_env(task_cfg("AllegroKukaReorientation"), num_envs=64).reset()
    assert observation[:, :23].abs().max() <= 1 + 1e-6
