from __future__ import annotations

import math
from typing import Any

import pytest

from epo.record.progress import BARS, Progress, RunPlan, Trend, clock, short


def progress(iterations: int, **limits: Any) -> Progress:
    """A run after so many iterations of 2 s and 100 frames each."""
    made = Progress(RunPlan("title", "details", "run", **limits))
    for i in range(1, iterations + 1):
        made.update({"iteration": i, "frames": 100 * i, "wall_s": 2.0 * i, "fps": 50.0})
    return made


@pytest.mark.parametrize(
    ("limits", "fraction", "eta_s"),
    [
        ({}, None, None),
        ({"max_frames": 2000}, 0.5, 20.0),  # 1000 frames left at 50 frames/s
        ({"max_iterations": 40}, 0.25, 60.0),  # 30 iterations left of 2 s
        ({"max_minutes": 1.0}, 1 / 3, 40.0),  # 60 s - 20 s
        ({"max_frames": 2000, "max_minutes": 0.5}, 2 / 3, 10.0),  # what comes first
        ({"max_frames": 500}, 1.0, 0.0),  # over
    ],
)
def test_progress_counts_to_the_first_limit(limits: dict, fraction: float, eta_s: float):
    made = progress(10, **limits)
    assert made.fraction == pytest.approx(fraction)
    assert made.eta_s == pytest.approx(eta_s)


def test_progress_has_no_eta_before_speed_is_known():
    made = progress(1, max_frames=2000, max_minutes=10.0)
    assert made.eta_s is None
    assert made.fps == 50.0


def test_progress_judges_speed_by_the_last_iterations():
    made = Progress(RunPlan("title", "details", "run"), window=3)
    for iteration, wall_s in enumerate([100.0, 200.0, 201.0, 202.0]):
        made.update({"iteration": iteration, "frames": 10 * iteration, "wall_s": wall_s})
    assert made.fps == 10.0  # (30 - 10) frames in (202 - 200) s


def test_trend_covers_the_whole_session_in_few_bins():
    trend = Trend(width=8)
    for value in range(1000):
        trend.add(float(value))
    assert 4 <= len(str(trend)) <= 8
    assert str(trend)[0] == BARS[0]
    assert str(trend)[-1] == BARS[-1]
    assert list(str(trend)) == sorted(str(trend))


def test_trend_weighs_merged_bins_equally():
    trend = Trend(width=2)
    for value in (0.0, 2.0, 4.0, 6.0):
        trend.add(value)
    # Bins of two: (0 + 2) / 2 = 1 and (4 + 6) / 2 = 5.
    assert trend._bins == [1.0, 5.0]


def test_trend_ignores_missing_values():
    trend = Trend()
    trend.add(math.nan)
    assert str(trend) == ""
    for value in (1.0, math.nan, 1.0):
        trend.add(value)
    assert str(trend) == BARS[0] * 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7, "7"),
        (999.9, "1.00 k"),
        (999.0, "999"),
        (4_210_000, "4.21 M"),
        (24_576, "24.6 k"),
        (-3.214, "-3.21"),
        (0.0153, "0.015"),
        (3.3e-05, "3.3e-05"),
        (2e10, "20.0 G"),
        (math.nan, "–"),
    ],
)
def test_short_keeps_three_digits(value: float, text: str):
    assert short(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00:00"), (3725.9, "1:02:05"), (90061, "1 d 1:01:01")]
)
def test_clock_reads_as_hours_minutes_seconds(seconds: float, text: str):
    assert clock(seconds) == text
