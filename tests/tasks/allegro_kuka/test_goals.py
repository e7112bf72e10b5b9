from __future__ import annotations

import torch

from tasks.allegro_kuka.goals import goal_pose, goal_position


def test_one_arm_goals_fill_their_volume() -> None:
    corners = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    position = goal_position(corners, torch.tensor([1.0, -1.0]), num_arms=1)
    expected = torch.tensor([[-0.4, 0.0, 0.68], [0.4, 0.35, 1.05]])
    torch.testing.assert_close(position, expected)


def test_two_arm_goals_lie_on_the_drawn_side() -> None:
    middle = torch.full((2, 3), 0.5)
    position = goal_position(middle, torch.tensor([1.0, -1.0]), num_arms=2)
    expected = torch.tensor([[0.75, 0.0, 0.865], [-0.75, 0.0, 0.865]])
    torch.testing.assert_close(position, expected)


def test_only_reorientation_turns_its_goals() -> None:
    u, side = torch.rand(5, 6, generator=torch.Generator().manual_seed(0)), torch.ones(5)
    flat = goal_pose(u, side, 1, "regrasping")
    assert flat[:, 3:].tolist() == [[1.0, 0.0, 0.0, 0.0]] * 5
    turned = goal_pose(u, side, 1, "reorientation")
    assert (turned[:, 3].abs() < 0.999).all()
    assert torch.equal(turned[:, :3], flat[:, :3])
