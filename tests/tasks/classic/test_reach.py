"""The sparse arm: where its tip is, and what pays."""

from __future__ import annotations

import math

import pytest
import torch

from tests.tasks.classic.worlds import make


@pytest.mark.parametrize("num_joints", [1, 2, 5])
def test_arm_begins_stretched_out_with_the_goal_behind(num_joints: int):
    settings = ("task.goal_distance_m=0.95", "task.goal_spread_rad=0.3")
    env = make("SparseReach", f"task.num_joints={num_joints}", *settings, num_envs=50)
    observation = env.reset()
    goal, tip = observation[:, -4:-2], observation[:, -2:]
    assert torch.equal(tip, torch.tensor([[1.0, 0.0]]).expand(50, 2))
    assert goal.norm(dim=-1).tolist() == pytest.approx([0.95] * 50)
    angle = torch.atan2(goal[:, 1], -goal[:, 0])
    assert angle.abs().max() <= 0.3 + 1e-6
    assert angle.std() > 0.1


def test_tip_is_the_sum_of_the_links():
    env = make("SparseReach", "task.num_joints=2", num_envs=1)
    env.reset()
    # Half a turn of the second joint folds the arm onto its base; 30 degrees of both:
    angles = torch.tensor([[math.pi / 6, 0.0], [math.pi / 6, math.pi]])
    tips = env.task._tip(angles)
    assert tips[:, 1].tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    # 0.5 (cos 30 + cos 60), 0.5 (sin 30 + sin 60)
    assert tips[:, 0].tolist() == pytest.approx([0.68301, 0.68301], abs=1e-4)


def test_joint_accelerates_and_is_damped():
    env = make("SparseReach", "task.num_joints=1", "task.goal_distance_m=1", num_envs=1)
    env.reset()
    env.state[-4:-2] = 9.0  # the goal is out of the way
    env.step(torch.ones(1, 1))
    # w = 8 * 0.05 = 0.4, q = 0.05 w; then without drive w = 0.9 * 0.4.
    assert env.state[:2, 0].tolist() == pytest.approx([0.02, 0.4])
    env.step(torch.zeros(1, 1))
    assert env.state[:2, 0].tolist() == pytest.approx([0.038, 0.36])
    for _ in range(100):
        env.step(torch.ones(1, 1))
    assert float(env.state[1, 0]) == pytest.approx(4.0, abs=1e-3)  # 8 / 2 rad/s


def test_only_the_goal_pays_and_ends_the_episode():
    # One joint that must turn by half a turn.
    settings = ("task.num_joints=1", "task.goal_distance_m=1", "task.goal_spread_rad=0")
    env = make("SparseReach", *settings, num_envs=2)
    env.reset()
    action = torch.tensor([[1.0], [0.0]])
    for _ in range(60):
        step = env.step(action)
        assert step.reward[1] == 0 and not step.terminated[1]
        if step.terminated[0]:
            break
        assert step.reward[0] == 0
    assert step.terminated[0] and step.reward[0] == 1 and step.metrics["successes"][0] == 1
    # The tip was less than the radius away from the goal behind.
    assert (step.final_observation[0, -2:] - torch.tensor([-1.0, 0.0])).norm() < 0.1
    assert step.observation[0, -2:].tolist() == [1.0, 0.0]
