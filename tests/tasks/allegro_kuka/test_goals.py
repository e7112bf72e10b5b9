from __future__ import annotations

import torch

from tasks.allegro_kuka.goals import goal_pose, goal_position
from tests.tasks.allegro_kuka.doubles import put_object, still_env, task_cfg

CORNERS = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])


def test_one_arm_goals_fill_their_volume() -> None:
    position = goal_position(CORNERS, torch.tensor([1.0, -1.0]), 1, "regrasping")
    expected = torch.tensor([[-0.4, 0.0, 0.68], [0.4, 0.35, 1.05]])
    torch.testing.assert_close(position, expected)


def test_two_arm_goals_lie_on_the_drawn_side() -> None:
    middle = torch.full((2, 3), 0.5)
    position = goal_position(middle, torch.tensor([1.0, -1.0]), 2, "reorientation")
    expected = torch.tensor([[0.75, 0.0, 0.865], [-0.75, 0.0, 0.865]])
    torch.testing.assert_close(position, expected)


def test_buckets_stand_on_either_side_beyond_table_and_robot() -> None:
    u = CORNERS.repeat(2, 1)
    position = goal_position(u, torch.tensor([1.0, 1.0, -1.0, -1.0]), 1, "throw")
    # |x| from .5 to .9; the goal point is 5 cm above the bucket's underside, z 0 to 1.
    ends = [[0.5, -1.0, 0.05], [0.9, 0.7, 1.05], [-0.9, -1.0, 0.05], [-0.5, 0.7, 1.05]]
    torch.testing.assert_close(position, torch.tensor(ends))
    # Table and robot base end at |x| = .2375 and .095; the rim's radius is .12.
    assert position[:, 0].abs().min() - 0.12 > 0.2375


def test_only_reorientation_turns_its_goals() -> None:
    u, side = torch.rand(5, 6, generator=torch.Generator().manual_seed(0)), torch.ones(5)
    for subtask in ("regrasping", "throw"):
        assert goal_pose(u, side, 1, subtask)[:, 3:].tolist() == [[1.0, 0.0, 0.0, 0.0]] * 5
    turned = goal_pose(u, side, 1, "reorientation")
    assert (turned[:, 3].abs() < 0.999).all()
    assert torch.equal(turned[:, :3], goal_pose(u, side, 1, "regrasping")[:, :3])


def test_throw_never_tightens_and_counts_every_success() -> None:
    cfg = task_cfg(
        "AllegroKukaThrow", "success_hold_steps=1", "max_successes=7", "curriculum.interval_steps=1"
    )
    env = still_env(cfg, num_envs=2)
    env.reset()
    for t in range(16):
        # Below .1 m it would count as fallen, even within a bucket on the floor.
        put_object(env, env.goal_pose[:, :3].clamp(min=torch.tensor([-1.0, -1.0, 0.12])).tolist())
        step = env.step(torch.zeros(2, 23))
        assert abs(step.scalars["success_tolerance"].item() - 0.075) < 1e-6
        # A success per step: fitness 1 + 1 to 7 + 1, then the next episode.
        assert step.metrics["fitness"].tolist() == [t % 7 + 2.0] * 2
        assert step.terminated.tolist() == [t % 7 == 6] * 2
