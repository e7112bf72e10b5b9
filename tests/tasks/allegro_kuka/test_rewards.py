from __future__ import annotations

from dataclasses import replace

import torch

from tasks.allegro_kuka import episode, rewards


def test_lifting_pays_height_then_one_bonus() -> None:
    height = torch.tensor([0.50, 0.63, 0.72, 0.74, 0.74])
    lifted = torch.tensor([False, False, False, False, True])
    earned, bonus, now = rewards.lifting(height, lifted, 0.15)
    # Height above 0.58, not below zero, nothing once lifted (above 0.73).
    torch.testing.assert_close(earned, torch.tensor([0.0, 0.05, 0.14, 0.0, 0.0]))
    assert bonus.tolist() == [False, False, False, True, False]
    assert now.tolist() == [False, False, False, True, True]


def test_lifting_stays_lifted_when_the_object_sinks() -> None:
    earned, bonus, now = rewards.lifting(torch.tensor([0.6]), torch.tensor([True]), 0.15)
    assert (earned.item(), bonus.item(), now.item()) == (0.0, False, True)


def test_approach_pays_only_new_minima() -> None:
    closest, distance = torch.tensor([0.5, 0.5]), torch.tensor([0.25, 0.75])
    gained, new = rewards.approach(closest, distance, limit_m=10.0)
    assert gained.tolist() == [0.25, 0.0]
    assert new.tolist() == [0.25, 0.5]


def test_approach_is_limited() -> None:
    gained, _ = rewards.approach(torch.tensor([50.0]), torch.tensor([0.0]), limit_m=10.0)
    assert gained.tolist() == [10.0]


def test_hold_adds_up_or_begins_anew() -> None:
    near = torch.tensor([True, False, True])
    # The third was near for 6 steps before, then away.
    books = replace(
        episode.begin(3, 4, torch.device("cpu")),
        near_steps=torch.tensor([4, 4, 2]),
        most_near_steps=torch.tensor([4, 4, 6]),
    )
    steps, paid = rewards.hold(books, near, consecutive=True)
    assert (steps.tolist(), paid.tolist()) == ([5, 0, 3], [1, 0, 0])
    books = replace(books, most_near_steps=books.near_steps)
    steps, paid = rewards.hold(books, near, consecutive=False)
    assert (steps.tolist(), paid.tolist()) == ([5, 4, 3], [1, 0, 1])


def test_joint_speeds_sum_over_both_arms() -> None:
    velocity = torch.cat((torch.full((1, 7), -2.0), torch.full((1, 16), 0.5)), dim=-1).repeat(1, 2)
    arm, hand = rewards.joint_speeds(velocity)
    assert (arm.item(), hand.item()) == (28.0, 16.0)  # 2 x 7 x 2 and 2 x 16 x 0.5
