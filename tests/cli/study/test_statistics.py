from __future__ import annotations

import math

import numpy as np
import pytest

from epo.cli.study.statistics import (
    hedges_g,
    holm,
    interquartile_mean,
    mean_interval,
    noncentrality,
    share_interval,
    standard_error,
    t_quantile,
    two_sided_p,
    welch,
)

FIRST, SECOND = [1.0, 2.0, 3.0], [2.0, 4.0, 6.0, 8.0]
"""Means 2 and 5, variances 1 and 20/3."""


def closed_form_p(t: float, df: int) -> float:
    """Student's t for 1 to 4 degrees of freedom (Abramowitz & Stegun 26.7.3 and 26.7.4)."""
    x = math.atan(t / math.sqrt(df))
    return (
        1.0
        - {
            1: 2.0 / math.pi * x,
            2: math.sin(x),
            3: 2.0 / math.pi * (x + math.sin(x) * math.cos(x)),
            4: math.sin(x) * (1.0 + 0.5 * math.cos(x) ** 2),
        }[df]
    )


@pytest.mark.parametrize("df", [1, 2, 3, 4])
@pytest.mark.parametrize("t", [0.0, 0.5, 2.0642, 6.3987, 50.0])
def test_p_equals_closed_forms(t: float, df: int):
    assert two_sided_p(t, df) == pytest.approx(closed_form_p(t, df), rel=1e-8)
    assert two_sided_p(-t, df) == two_sided_p(t, df)


@pytest.mark.parametrize(
    ("t", "df", "p"),
    [  # Critical values of printed tables.
        (2.228139, 10, 0.05),
        (2.059539, 25, 0.05),
        (3.169273, 10, 0.01),
        (4.586894, 10, 0.001),
        (1.979930, 120, 0.05),
        (1.959964, 1e6, 0.05),
    ],
)
def test_p_equals_printed_tables(t: float, df: float, p: float):
    assert two_sided_p(t, df) == pytest.approx(p, rel=1e-5)


def test_p_between_whole_degrees_of_freedom():
    assert two_sided_p(2.0, 5) < two_sided_p(2.0, 4.0755) < two_sided_p(2.0, 4)


def test_p_equals_scipy():
    stats = pytest.importorskip("scipy.stats")
    for t in (0.3, 2.0642, 12.0):
        for df in (1.0, 1.3, 2.5, 8.7, 63.1):
            # Below two degrees of freedom the integrand has a kink at its end.
            assert two_sided_p(t, df) == pytest.approx(2.0 * stats.t.sf(t, df), rel=1e-4)


@pytest.mark.parametrize(
    ("t", "df", "p"),
    [
        (-2.0642, 25, 0.0495),  # BipedalWalker-v3
        (-6.3987, 8, 0.0002),  # CarRacing-v3
        (-1.8707, 18, 0.0778),  # LunarLander-v3
    ],
)
def test_published_t_and_p_fit_the_degrees_of_freedom_they_imply(t: float, df: int, p: float):
    # They are given with four digits, for a df between two whole numbers.
    assert two_sided_p(t, df) == pytest.approx(p, abs=1e-4)


def test_published_mountain_car_implies_ten_degrees_of_freedom():
    assert two_sided_p(-6.2431, 10) < 1e-4 < two_sided_p(-6.2431, 9)


def test_welch_by_hand():
    # Squared standard error 1/3 + 20/12 = 2; df = 2^2 / ((1/3)^2 / 2 + (5/3)^2 / 3) = 216/53.
    test = welch(FIRST, SECOND)
    assert test.t == pytest.approx(-3.0 / math.sqrt(2.0))
    assert test.df == pytest.approx(216.0 / 53.0)
    assert test.p == pytest.approx(two_sided_p(test.t, 216.0 / 53.0))


def test_welch_changes_sign_with_the_order_and_not_with_scale():
    test, other = welch(FIRST, SECOND), welch(SECOND, FIRST)
    assert (other.t, other.p) == pytest.approx((-test.t, test.p))
    assert welch([1e-9 * x for x in FIRST], [1e-9 * x for x in SECOND]) == pytest.approx(test)


@pytest.mark.parametrize(
    ("first", "second"),
    [([1.0], [2.0, 3.0]), ([], [2.0, 3.0]), ([0.1] * 3, [0.2] * 3), ([0.1] * 3, [0.1] * 3)],
)
def test_no_test_without_variance(first: list, second: list):
    assert all(math.isnan(number) for number in welch(first, second))
    assert all(math.isnan(number) for number in hedges_g(first, second))


def test_hedges_g_by_hand():
    # Pooled variance (2 * 1 + 3 * 20/3) / 5 = 4.4; J(5) = gamma(2.5) / (sqrt(2.5) gamma(2)).
    g = hedges_g(FIRST, SECOND)
    assert g.value == pytest.approx(-3.0 / math.sqrt(4.4) * 0.8407488, rel=1e-6)
    assert g.low < g.value < g.high


@pytest.mark.parametrize("effect", [0.0, 1.5])
def test_interval_of_g_has_the_effects_that_make_it_unlikely_at_its_ends(effect: float):
    # Of experiments with five samples each, whose true effect is an end of the interval around
    # g, a fortieth shows a g on the other side of that one.
    rng = np.random.default_rng(0)
    first, second = rng.normal(effect, 1.0, 5), rng.normal(0.0, 1.0, 5)
    g = hedges_g(list(first), list(second))
    correction = math.gamma(4.0) / (2.0 * math.gamma(3.5))  # J(8) = gamma(4) / (sqrt(4) gamma(3.5))
    for end, side in ((g.low, 1.0), (g.high, -1.0)):
        firsts = rng.normal(end / correction, 1.0, (100_000, 5))
        seconds = rng.normal(0.0, 1.0, (100_000, 5))
        pooled = np.sqrt(0.5 * (firsts.var(axis=1, ddof=1) + seconds.var(axis=1, ddof=1)))
        found = correction * (firsts.mean(axis=1) - seconds.mean(axis=1)) / pooled
        # Standard error of the share: 0.0005.
        assert np.mean(side * found > side * g.value) == pytest.approx(0.025, abs=0.002)


@pytest.mark.parametrize("share", [0.025, 0.5, 0.975])
def test_noncentrality_of_many_degrees_of_freedom_is_normal(share: float):
    quantile = {0.025: 1.959964, 0.5: 0.0, 0.975: -1.959964}[share]
    assert noncentrality(0.0, 8, share) == pytest.approx(quantile, abs=1e-5)
    assert noncentrality(2.0, 1e6, share) == pytest.approx(2.0 + quantile, abs=1e-4)


def test_interval_of_g_leaves_out_zero_where_the_p_of_equal_variances_is_below_a_twentieth():
    # Two means of two samples, variance 2 each: Student's t = difference / sqrt(2), df 2, and
    # 4.302653 is its 0.975 quantile.
    for t, is_outside in ((4.31, True), (4.29, False)):
        difference = t * math.sqrt(2.0)
        g = hedges_g([difference - 1.0, difference + 1.0], [-1.0, 1.0])
        assert (g.low > 0.0) == is_outside


def test_holm_by_hand():
    # Sorted 0.005 * 4, 0.01 * 3, 0.03 * 2, 0.04 * 1, and never less than the one before.
    corrected = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert corrected == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})


def test_holm_stops_at_one_and_skips_what_was_no_test():
    corrected = holm({"a": 0.6, "b": math.nan, "c": 0.7})
    assert (corrected["a"], corrected["c"]) == (1.0, 1.0)
    assert math.isnan(corrected["b"])


def test_published_bipedal_walker_does_not_survive_holm():
    corrected = holm({"walker": 0.0495, "racing": 0.0002, "car": 0.0001, "lander": 0.0778})
    assert [name for name, p in corrected.items() if p < 0.05] == ["racing", "car"]


@pytest.mark.parametrize(
    ("samples", "value"),
    [
        ([8.0, 1.0, 7.0, 2.0, 6.0, 3.0, 5.0, 4.0], 4.5),  # of 3, 4, 5, 6
        ([100.0, 1.0, 2.0, 3.0, -100.0], 2.0),  # of 1, 2, 3
        ([1.0, 2.0, 6.0], 3.0),  # nothing to cut
    ],
)
def test_interquartile_mean_leaves_out_a_quarter_at_each_end(samples: list, value: float):
    found = interquartile_mean(samples)
    assert found.value == pytest.approx(value)
    assert min(samples) <= found.low <= found.value <= found.high <= max(samples)


def test_bootstrap_interval_is_as_wide_as_the_spread_of_repeated_experiments():
    # Of 100 normal samples the interquartile mean has a standard deviation of about 0.109.
    rng = np.random.default_rng(1)
    repeated = np.sort(rng.normal(0.0, 1.0, (20_000, 100)), axis=1)[:, 25:75].mean(axis=1)
    found = interquartile_mean(list(rng.normal(0.0, 1.0, 100)))
    assert found.high - found.low == pytest.approx(2 * 1.96 * repeated.std(), rel=0.25)


def test_bootstrap_interval_is_the_same_every_time():
    assert interquartile_mean(FIRST) == interquartile_mean(FIRST)


def test_little_is_known_from_one_sample():
    assert interquartile_mean([3.0]).value == 3.0
    assert math.isnan(interquartile_mean([3.0]).low)
    assert math.isnan(interquartile_mean([]).value)
    assert math.isnan(standard_error([3.0]))
    # Variance 1 of three samples.
    assert standard_error(FIRST) == pytest.approx(1.0 / math.sqrt(3.0))


def test_mean_interval_is_students():
    # Mean 2, standard error 1 / sqrt(3); 4.302653 is the table's value for two degrees of freedom.
    interval = mean_interval([1.0, 2.0, 3.0])
    assert interval.value == 2.0
    assert interval.high - 2.0 == pytest.approx(4.302653 / math.sqrt(3.0), rel=1e-6)
    assert 2.0 - interval.low == pytest.approx(interval.high - 2.0)


@pytest.mark.parametrize(("df", "t"), [(1, 12.706205), (10, 2.228139), (99, 1.984217)])
def test_t_quantile_is_the_tables(df: int, t: float):
    assert t_quantile(0.975, df) == pytest.approx(t, rel=1e-6)


def test_share_interval_is_wilsons():
    # 8 of 10: (0.8 + z^2/20 +- z sqrt(0.016 + z^2/400)) / (1 + z^2/10), z = 1.959964.
    assert share_interval(8, 10) == pytest.approx((0.8, 0.490162, 0.943318), abs=1e-6)
    assert share_interval(10, 10).high == pytest.approx(1.0, abs=1e-12)
    assert share_interval(0, 10).low == 0.0
    assert math.isnan(share_interval(0, 0).value)
