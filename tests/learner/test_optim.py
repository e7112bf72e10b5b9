"""Step size rule and the reset of single rows of Adam."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from epo.config import PPOCfg
from epo.learner.optim import (
    adapt_learning_rate,
    fixed_learning_rate,
    make_adam,
    reset_moments,
    swap_rows,
)
from tests.golden import golden
from tests.learner.golden_case import tensor


@pytest.mark.parametrize(
    ("frames", "decay_frames", "expected"),
    [
        (10**9, None, 3e-4),
        (0, 1000, 3e-4),
        (250, 1000, 2.25e-4),  # a quarter of the way
        (999, 1000, 1e-6),  # 3e-7 is below the lower bound
        (2000, 1000, 1e-6),
    ],
)
def test_fixed_step_size_decays_linearly_if_asked_for(frames, decay_frames, expected):
    cfg = PPOCfg(learning_rate=3e-4, decay_frames=decay_frames)
    assert fixed_learning_rate(frames, cfg) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("case", ["schedule0/", "schedule1/"])
def test_schedule_equals_the_original_on_its_borders(case):
    arrays = golden("learner_losses.npz")
    cfg = PPOCfg(kl_target=arrays[f"{case}threshold"].item())
    found = adapt_learning_rate(tensor(arrays[f"{case}lr"]), tensor(arrays[f"{case}kl"]), cfg)
    torch.testing.assert_close(found, tensor(arrays[f"{case}new_lr"]), rtol=1e-12, atol=0.0)


def test_schedule_follows_the_trace_of_the_original():
    arrays = golden("learner_losses.npz")
    cfg = PPOCfg(kl_target=arrays["trace/threshold"].item())
    rate = tensor(arrays["trace/lr0"])
    for i, kl in enumerate(tensor(arrays["trace/kl"])):
        rate = adapt_learning_rate(rate, kl, cfg)
        assert rate.item() == pytest.approx(arrays["trace/lr"][i], rel=1e-12), i


@pytest.mark.parametrize(
    ("kl", "rate", "expected"),
    [
        (0.032, 1e-4, 1e-4),  # exactly twice the target: kept
        (0.0320001, 1.5e-4, 1e-4),
        (0.008, 1e-4, 1e-4),  # exactly half of it: kept
        (0.0079999, 1e-4, 1.5e-4),
        (1.0, 1.2e-6, 1e-6),  # 0.8e-6 is below the lower bound
        (0.0, 9e-3, 1e-2),  # 1.35e-2 is above the upper bound
    ],
)
def test_schedule_is_strict_and_bounded(kl, rate, expected):
    before, divergence = torch.tensor([rate, kl], dtype=torch.float64)
    found = adapt_learning_rate(before, divergence, PPOCfg()).item()
    assert found == pytest.approx(expected, rel=1e-12)


def _trained_rows():
    parameter = nn.Parameter(torch.zeros(3, 2))
    optimizer = make_adam([parameter], torch.tensor(1e-3, dtype=torch.float64), 1e-8)
    parameter.grad = torch.ones(3, 2)
    optimizer.step()
    return parameter, optimizer


def test_reset_moments_touches_its_rows_only():
    parameter, optimizer = _trained_rows()
    reset_moments(optimizer, parameter, [0, 2])
    # after one gradient of 1: m = 1 - 0.9, v = 1 - 0.999
    for name, size in (("exp_avg", 0.1), ("exp_avg_sq", 0.001)):
        expected = torch.tensor([[0.0], [size], [0.0]]).expand(3, 2)
        torch.testing.assert_close(optimizer.state[parameter][name], expected)


def test_swapped_rows_are_trained_as_if_they_had_always_been_there():
    parameter, optimizer = _trained_rows()
    parameter.grad = torch.arange(6.0).view(3, 2)
    optimizer.step()
    twin, other = _trained_rows()
    twin.grad = torch.arange(6.0).view(3, 2)
    other.step()
    swap_rows(other, twin, 0, 2)
    order = [2, 1, 0]
    parameter.grad, twin.grad = torch.ones(3, 2), torch.ones(3, 2)
    optimizer.step()
    other.step()
    assert torch.equal(twin, parameter[order]) and not torch.equal(twin[0], twin[2])


def test_rows_are_swapped_before_the_first_step():
    parameter = nn.Parameter(torch.arange(6.0).view(3, 2))
    swap_rows(make_adam([parameter], torch.tensor(1e-3), 1e-8), parameter, 0, 2)
    assert parameter.tolist() == [[4.0, 5.0], [2.0, 3.0], [0.0, 1.0]]


def test_reset_moments_of_nothing_changes_nothing():
    parameter, optimizer = _trained_rows()
    reset_moments(optimizer, parameter, [])
    assert optimizer.state[parameter]["exp_avg"].all()


def test_reset_moments_before_the_first_step_is_harmless():
    parameter = nn.Parameter(torch.zeros(3, 2))
    optimizer = make_adam([parameter], torch.tensor(1e-3), 1e-8)
    reset_moments(optimizer, parameter, [1])
    assert not optimizer.state


def test_reset_row_late_in_a_run_moves_faster_for_a_while():
    parameter, optimizer = _trained_rows()
    optimizer.state[parameter]["step"].fill_(1e6)  # bias corrections are 1
    reset_moments(optimizer, parameter, [1])
    lengths = {}
    for n in range(1, 101):
        before = parameter[1, 0].item()
        optimizer.step()
        lengths[n] = (before - parameter[1, 0].item()) / 1e-3
    # (1 - 0.9^n) / sqrt(1 - 0.999^n)
    for n, expected in ((1, 3.162), (12, 6.569), (100, 3.241)):
        assert lengths[n] == pytest.approx(expected, abs=2e-3), n


def test_adam_follows_its_step_size_edited_in_place():
    parameter = nn.Parameter(torch.zeros(1))
    rate = torch.tensor(1e-3, dtype=torch.float64)
    optimizer = make_adam([parameter], rate, 1e-8)
    parameter.grad = torch.ones(1)
    rate.copy_(torch.tensor(0.5))
    optimizer.step()
    assert parameter.item() == pytest.approx(-0.5, rel=1e-6)  # the first step is one step size
