from __future__ import annotations

import pytest

from epo.learner.pql.ratio import Ratio


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [(8.0, [8, 8, 8, 8]), (0.5, [0, 1, 0, 1]), (2.5, [2, 3, 2, 3]), (0.75, [0, 1, 1, 1])],
)
def test_ratio_spreads_events_evenly(ratio, expected):
    counter = Ratio(ratio)
    assert [counter.tick() for _ in range(4)] == expected


@pytest.mark.parametrize("ratio", [0.1, 0.3, 1.7, 1e-3])
def test_ratio_never_drifts(ratio):
    # In floating point 0.1 added ten times is less than 1.
    counter = Ratio(ratio)
    assert sum(counter.tick() for _ in range(10_000)) == round(10_000 * ratio)


def test_restored_ratio_goes_on_and_another_one_begins_anew():
    counter, same, other = Ratio(0.25), Ratio(0.25), Ratio(0.5)
    for _ in range(3):
        counter.tick()
    same.load_state_dict(counter.state_dict())
    other.load_state_dict(counter.state_dict())
    assert (same.tick(), other.tick()) == (1, 0)
