"""Exploration noise per environment or by schedule; what the noise does to the returns."""

from __future__ import annotations

import math

import pytest
import torch

from epo.config import PqlCfg
from epo.learner.pql.exploration import (
    Exploration,
    QuartileReturns,
    mixed_sigmas,
    scheduled_sigma,
)
from tests.learner.pql.small import CPU, make_step


def make_exploration(num_envs: int = 9, seed: int = 0, **settings) -> Exploration:
    return Exploration(PqlCfg(**settings), num_envs, 3, CPU, seed)


def test_mixed_noise_grows_evenly_with_the_index_of_the_environment():
    sigmas = mixed_sigmas(5, 0.05, 0.8)
    # (0.8 - 0.05) / 4 = 0.1875
    expected = torch.tensor([0.05, 0.2375, 0.425, 0.6125, 0.8])
    torch.testing.assert_close(sigmas, expected)


def test_mixed_noise_has_that_deviation_in_every_action_dimension():
    exploration = make_exploration(5, min_sigma=0.01, max_sigma=0.1)
    zero = torch.zeros(5, 3)
    draws = torch.stack([exploration.perturb(zero, step) for step in range(4000)])
    measured = draws.std(dim=0)  # [N, A], relative standard error 1 / sqrt(8000) = 1.1 %
    expected = mixed_sigmas(5, 0.01, 0.1).unsqueeze(-1).expand(5, 3)
    torch.testing.assert_close(measured, expected, rtol=0.05, atol=0.0)


def test_actions_stay_in_their_range():
    exploration = make_exploration(max_sigma=5.0)
    action = exploration.perturb(torch.ones(9, 3), 0)
    assert action.abs().max() == 1.0
    assert exploration.random().abs().max() <= 1.0


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        # At steps 0, 50, 100 and 200 of 100; half of the exponential way: sqrt(0.8 * 0.05) = 0.2
        ("constant", (0.8, 0.8, 0.8, 0.8)),
        ("linear", (0.8, 0.425, 0.05, 0.05)),
        ("exponential", (0.8, 0.2, 0.05, 0.05)),
    ],
)
def test_schedule_goes_from_the_greatest_to_the_least_deviation(kind, expected):
    for step, sigma in zip((0, 50, 100, 200), expected):
        given = scheduled_sigma(kind, step, min_sigma=0.05, max_sigma=0.8, decay_steps=100)
        assert given == pytest.approx(sigma)


def test_scheduled_noise_is_the_same_everywhere():
    exploration = make_exploration(exploration="linear", max_sigma=0.1, min_sigma=0.0)
    zero = torch.zeros(9, 3)
    draws = torch.stack([exploration.perturb(zero, 0) for _ in range(2000)])
    torch.testing.assert_close(draws.std(dim=0), torch.full((9, 3), 0.1), rtol=0.1, atol=0.0)
    assert exploration.perturb(zero, 10_000).eq(0.0).all()


def test_noise_repeats_with_the_seed_only():
    zero = torch.zeros(9, 3)
    one, two, other = (make_exploration(seed=seed).perturb(zero, 0) for seed in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other)


def test_returns_are_averaged_over_quarters_of_the_environments():
    returns = QuartileReturns(8, CPU)
    ends = torch.tensor([True, True, True, False, False, False, True, True])
    observation, reward = torch.zeros(8, 1), torch.arange(8.0)
    returns.update(make_step(observation, reward))
    returns.update(make_step(observation, reward, truncated=ends))
    given = [float(value) for value in returns.read().values()]
    assert given[:2] == [1.0, 4.0]  # (0 + 2) / 2; of 4 and an unfinished one
    assert math.isnan(given[2])
    assert given[3] == 13.0  # (12 + 14) / 2
    assert next(iter(returns.read())) == "exploration/return_quartile_1"


def test_returns_begin_anew_after_an_end_and_after_a_step_that_is_no_experience():
    returns = QuartileReturns(4, CPU)
    observation, one = torch.zeros(4, 1), torch.ones(4)
    everywhere, nowhere = torch.ones(4, dtype=torch.bool), torch.zeros(4, dtype=torch.bool)
    returns.update(make_step(observation, one, terminated=everywhere))
    returns.update(make_step(observation, 5.0 * one))
    returns.update(make_step(observation, 7.0 * one, terminated=everywhere, valid=nowhere))
    assert float(returns.read()["exploration/return_quartile_1"]) == 1.0
    returns.update(make_step(observation, 3.0 * one, truncated=everywhere))
    assert float(returns.read()["exploration/return_quartile_1"]) == 3.0
