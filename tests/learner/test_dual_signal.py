"""PPO-BR: bounds, hand-computed ranges, and what the window of returns remembers."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from epo.config import ClipCfg, PPOCfg
from epo.learner.clip import Standing
from epo.learner.dual_signal import DualSignal, EntropyScale, change, plateau
from epo.models.distribution import Categorical, DiagonalGaussian

CPU = torch.device("cpu")
HALF_LOG_2PIE = 0.5 * math.log(2.0 * math.pi * math.e)  # 1.41894


class Unit(EntropyScale):
    """The entropy itself is phi."""

    def __init__(self) -> None:
        self.low, self.high = 0.0, 1.0


def schedule(scale=None, clip_eps=0.2, **settings):
    cfg = ClipCfg(**{"kind": "br", "window": 4, **settings})
    return DualSignal(cfg, PPOCfg(clip_eps=clip_eps), scale or Unit(), CPU)


def feed(br, returns, entropy=0.0, frames=0):
    """Return the range after the last of the returns."""
    found = None
    for value in returns:
        value = torch.tensor(float(value), dtype=torch.float64)
        found = br.begin_update(Standing(frames, torch.tensor(float(entropy)), value))
    assert found is not None and found.low is found.high
    return float(found.low)


@pytest.mark.parametrize(
    ("entropy", "returns", "expected"),
    [
        # tanh(1) = 0.7615942: 0.2 (1 + 0.5 tanh 1), the return still unknown
        (1.0, [math.nan] * 4, 0.27616),
        (0.0, [5.0] * 4, 0.15430),  # 0.2 (1 - 0.3 tanh 1), a constant return
        (1.0, [5.0] * 4, 0.23046),  # both
        (0.0, [5.0] * 3, 0.2),  # window not full: no contraction
    ],
)
def test_range_by_hand(entropy, returns, expected):
    assert feed(schedule(), returns, entropy) == pytest.approx(expected, abs=1e-5)


def test_range_stays_within_the_bounds_whatever_comes():
    generator = torch.Generator().manual_seed(0)
    for plateau_mode in ("tanh", "inverse", "exponential", "improvement"):
        for unit in ("std", "relative"):
            br = schedule(
                plateau=plateau_mode, change=unit, contract_on_drop=True, expansion=2.0,
                contraction=1.0,
            )  # fmt: skip
            noise = torch.randn(2, 40, generator=generator) * 100.0
            for entropy, value in noise.T.tolist():
                eps = feed(br, [value], entropy)
                assert math.isfinite(eps) and 0.0 <= eps <= 0.2 * 3.0


def test_update_without_episodes_changes_neither_window_nor_range():
    br = schedule()
    before = feed(br, [1.0, 2.0, 4.0, 9.0])
    window = br.window.values.clone()
    assert feed(br, [math.nan]) == before
    assert torch.equal(br.window.values, window)


def test_range_grows_with_the_entropy():
    eps = [feed(schedule(), [1.0, 2.0, 3.0, 4.0], entropy) for entropy in (0.0, 0.3, 0.6, 1.0)]
    assert eps == sorted(eps) and eps[0] < eps[-1]
    assert feed(schedule(), [1.0], 7.0) == feed(schedule(), [1.0], 1.0)  # phi ends at 1


def test_change_of_a_straight_rise_and_of_noise():
    # Halves differ by W / 2, the spread is W / sqrt(12): sqrt(3), and for W = 20 a little more.
    rise = change(torch.arange(20.0, dtype=torch.float64), "std")
    assert rise.item() == pytest.approx(math.sqrt(3.0), abs=0.003)
    assert plateau(rise, ClipCfg()).item() == pytest.approx(0.06, abs=0.002)
    noise = torch.randn(4000, 20, generator=torch.Generator().manual_seed(0)).double()
    sizes = torch.stack([change(row, "std").abs() for row in noise])
    assert sizes.mean().item() == pytest.approx(0.37, abs=0.01)
    psi = torch.stack([plateau(size, ClipCfg()) for size in sizes])
    assert psi.mean().item() == pytest.approx(0.67, abs=0.01)


def test_change_by_hand():
    values = torch.tensor([1.0, 3.0, 4.0, 8.0], dtype=torch.float64)
    # halves 2 and 6, mean 4, variance (9 + 1 + 0 + 16) / 4 = 6.5
    assert change(values, "std").item() == pytest.approx(4.0 / math.sqrt(6.5))
    assert change(values, "relative").item() == pytest.approx(2.0)
    odd = torch.tensor([1.0, 100.0, 3.0], dtype=torch.float64)  # the middle one is in no half
    assert change(odd, "relative").item() == pytest.approx(2.0)


def test_change_in_spreads_is_free_of_offset_and_scale():
    values = torch.randn(20, generator=torch.Generator().manual_seed(1)).double()
    expected = change(values, "std")
    torch.testing.assert_close(change(7.0 * values - 300.0, "std"), expected, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize(
    ("mode", "x", "psi"),
    [
        ("tanh", 1.0, 1.0 - math.tanh(1.0)),
        ("tanh", -1.0, 1.0 - math.tanh(1.0)),
        ("inverse", 1.0, 0.5),
        ("exponential", -1.0, math.exp(-1.0)),
        ("improvement", 0.4, 0.4),
        ("improvement", 3.0, 1.0),
        ("improvement", -3.0, 0.0),
    ],
)
def test_plateau_measures(mode, x, psi):
    assert plateau(torch.tensor(x), ClipCfg(plateau=mode)).item() == pytest.approx(psi)


def test_contraction_on_a_drop_is_an_option():
    falling = [4.0, 3.0, 2.0, 1.0]
    assert feed(schedule(contract_on_drop=True), falling) == pytest.approx(0.15430, abs=1e-5)
    assert feed(schedule(), falling) > 0.19


def test_uniform_choices_are_widest_and_certain_ones_narrowest():
    scale = EntropyScale(Categorical(), 5, 0.0, 0.05)
    assert scale(Categorical().entropy(torch.zeros(5), torch.zeros(0))).item() == 1.0
    certain = torch.tensor([100.0, 0.0, 0.0, 0.0, 0.0])
    assert scale(Categorical().entropy(certain, torch.zeros(0))).item() == pytest.approx(0.0)


@pytest.mark.parametrize(("floor_std", "sigma_at_zero"), [(0.0, 0.241971), (0.05, 0.05)])
def test_gaussian_scale_runs_from_its_floor_to_the_initial_policy(floor_std, sigma_at_zero):
    scale = EntropyScale(DiagonalGaussian(), 3, math.log(0.8), floor_std)
    assert scale.high == pytest.approx(3.0 * (HALF_LOG_2PIE + math.log(0.8)))

    def phi(sigma):
        log_std = torch.full((3,), math.log(sigma), dtype=torch.float64)
        return scale(DiagonalGaussian().entropy(torch.zeros(3), log_std)).item()

    assert phi(0.8) == pytest.approx(1.0)
    assert phi(2.0) == 1.0
    assert phi(sigma_at_zero) == pytest.approx(0.0, abs=1e-5)
    assert phi(0.5) == pytest.approx(math.log(0.5 / sigma_at_zero) / math.log(0.8 / sigma_at_zero))


def test_smoothing_is_a_running_mean_that_begins_with_its_first_value():
    br = schedule(smoothing=0.8)
    feed(br, [math.nan], entropy=1.0)
    feed(br, [math.nan], entropy=0.0)
    assert br.metrics()["br/H"].item() == pytest.approx(0.8)
    feed(br, [1.0, 1.0, 1.0], entropy=0.0)
    assert br.metrics()["br/dR"].isnan()
    feed(br, [5.0])  # halves 1 and 3, spread sqrt(3): the first change
    assert br.metrics()["br/dR"].item() == pytest.approx(2.0 / math.sqrt(3.0))
    feed(br, [1.0])  # 1 1 5 1: halves 1 and 3
    feed(br, [5.0])  # 1 5 1 5: no change
    assert br.metrics()["br/dR"].item() == pytest.approx(0.8 * 2.0 / math.sqrt(3.0))


def test_first_range_is_scaled_by_a_decay_and_read_anew():
    br = schedule(decay_frames=100, decay_to=0.0)
    assert feed(br, [math.nan], 1.0, frames=50) == pytest.approx(0.27616 / 2.0, abs=1e-5)
    br.ppo.clip_eps = 0.1
    assert feed(br, [math.nan], 1.0, frames=0) == pytest.approx(0.27616 / 2.0, abs=1e-5)


def test_resumed_schedule_goes_on_as_if_nothing_had_happened():
    returns = torch.randn(30, generator=torch.Generator().manual_seed(2)).tolist()
    whole, first = schedule(smoothing=0.5), schedule(smoothing=0.5)
    feed(whole, returns[:17], 0.3)
    feed(first, returns[:17], 0.3)
    second = schedule(smoothing=0.5)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    feed(first, [1e6])  # what is loaded is a copy
    for value in returns[17:]:
        assert feed(second, [value], 0.7) == feed(whole, [value], 0.7)
