"""Targets of both critics: values by hand, distributions by what a projection must keep."""

from __future__ import annotations

import torch

from epo.learner.pql.targets import (
    double_q_target,
    elementwise_minimum,
    lesser_distribution,
    project,
)

ATOMS = torch.linspace(-10.0, 10.0, 51)


def random_mass(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, 51, generator=generator).softmax(-1)


def test_double_q_target_takes_the_lesser_value():
    value = torch.tensor([[1.0, 5.0], [2.0, 4.0]])
    target = double_q_target(value, torch.tensor([0.5, -1.0]), torch.tensor([0.9, 0.0]))
    torch.testing.assert_close(target, torch.tensor([1.4, -1.0]))  # 0.5 + 0.9 x 1; no bootstrap


def test_projection_keeps_mass_and_mean_inside_the_support():
    mass = random_mass(2, 64)
    reward_sum = 2.0 * torch.rand(64) - 1.0
    bootstrap = torch.full((64,), 0.85)  # +-(8.5 + 1) is inside
    projected = project(mass, reward_sum, bootstrap, ATOMS)
    assert projected.shape == mass.shape and projected.min() >= 0.0
    torch.testing.assert_close(projected.sum(-1), torch.ones(2, 64), atol=1e-5, rtol=0.0)
    expected = reward_sum + 0.85 * (mass @ ATOMS)
    torch.testing.assert_close(projected @ ATOMS, expected, atol=1e-4, rtol=0.0)


def test_terminal_target_is_all_mass_at_the_reward():
    projected = project(random_mass(2, 3), torch.tensor([0.4, 0.5, -20.0]), torch.zeros(3), ATOMS)
    near = torch.zeros(3, 51)
    near[0, 26] = 1.0  # -10 + 26 x 0.4 = 0.4: exactly an atom
    near[1, 26], near[1, 27] = 0.75, 0.25  # 0.5 lies a quarter of the way from 0.4 to 0.8
    near[2, 0] = 1.0  # beyond the first atom
    torch.testing.assert_close(projected, near.expand(2, 3, 51), atol=1e-5, rtol=0.0)


def test_projection_onto_the_same_atoms_changes_nothing():
    mass = random_mass(2, 5)
    projected = project(mass, torch.zeros(5), torch.ones(5), ATOMS)
    torch.testing.assert_close(projected, mass, atol=1e-5, rtol=0.0)


def test_mass_beyond_the_support_ends_at_its_edges():
    projected = project(random_mass(1, 2), torch.tensor([30.0, -30.0]), torch.ones(2), ATOMS)
    assert torch.allclose(projected[0, 0, -1], torch.tensor(1.0), atol=1e-5)
    assert torch.allclose(projected[0, 1, 0], torch.tensor(1.0), atol=1e-5)


def test_every_sample_gets_the_distribution_of_lesser_mean():
    mass = torch.zeros(2, 2, 51)
    mass[0, 0, 10], mass[1, 0, 20] = 1.0, 1.0
    mass[0, 1, 40], mass[1, 1, 30] = 1.0, 1.0
    chosen = lesser_distribution(mass, ATOMS)
    assert chosen.argmax(-1).tolist() == [10, 30]


def test_elementwise_minimum_loses_mass():
    mass = random_mass(2, 4)
    total = elementwise_minimum(mass).sum(-1)
    assert (total < 1.0).all() and (total > 0.0).all()
    torch.testing.assert_close(elementwise_minimum(mass[:1].expand(2, -1, -1)), mass[0])
