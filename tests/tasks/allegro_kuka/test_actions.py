from __future__ import annotations

import torch

from tasks.allegro_kuka.actions import joint_targets

LOWER = torch.tensor([-1.0] * 7 + [0.0] * 16)
UPPER = torch.tensor([1.0] * 7 + [2.0] * 16)


def test_delta_action_moves_the_previous_arm_target() -> None:
    previous = torch.full((1, 23), 0.5)
    target = joint_targets(torch.full((1, 23), -1.0), previous, LOWER, UPPER, 0.125)
    assert target[0, :7].tolist() == [0.375] * 7  # 0.5 - 0.125
    assert target[0, 7:].tolist() == [0.0] * 16  # lower limit


def test_delta_action_stops_at_the_limit() -> None:
    previous = torch.full((1, 23), 0.95)
    target = joint_targets(torch.ones(1, 23), previous, LOWER, UPPER, 0.125)
    assert target[0, :7].tolist() == [1.0] * 7


def test_delta_action_reaches_both_arms() -> None:
    lower, upper = LOWER.repeat(2), UPPER.repeat(2)
    target = joint_targets(torch.ones(1, 46), torch.zeros(1, 46), lower, upper, 0.125)
    assert target[0].tolist() == ([0.125] * 7 + [2.0] * 16) * 2


def test_absolute_action_spans_the_range() -> None:
    action = torch.full((1, 23), 0.5)
    target = joint_targets(action, torch.zeros(1, 23), LOWER, UPPER, None)
    assert target[0, :7].tolist() == [0.5] * 7  # -1 + 1.5/2 x 2
    assert target[0, 7:].tolist() == [1.5] * 16  # 0 + 1.5/2 x 2


def test_action_outside_its_range_is_clamped() -> None:
    wild, tame = torch.full((1, 23), 7.0), torch.ones(1, 23)
    zero = torch.zeros(1, 23)
    expected = joint_targets(tame, zero, LOWER, UPPER, 0.125)
    assert torch.equal(joint_targets(wild, zero, LOWER, UPPER, 0.125), expected)
