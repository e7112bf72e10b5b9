"""Medians and ratios of `bench peers`."""

from __future__ import annotations

from typing import List

import pytest

from epo.cli.bench.peer_report import Turn, ratios, summary
from epo.cli.bench.report import ratio_text


def turns(*rates: List[float]) -> List[Turn]:
    """Return turns of epo, rl_games and rl_games_our_openmp, as far as there are rates."""
    names = ("epo", "rl_games", "rl_games_our_openmp")
    return [
        {
            name: {
                "samples_per_s": rate,
                "rollout_s": 1.0 / rate,
                "update_s": 3.0 / rate,
                "peak_mem_mb": 10.0 * rate,
                "precision": "fp32",
                "versions": {},
            }
            for name, rate in zip(names, found)
        }
        for found in rates
    ]


def test_ratio_is_within_a_turn_to_the_rl_games_of_the_best_median():
    measured = turns([12.0, 4.0, 6.0], [12.0, 8.0, 3.0], [9.0, 3.0, 3.0])
    assert ratios(measured, "epo") == [3.0, 1.5, 3.0]
    assert ratios(measured, "rl_games_our_openmp") == [1.5, 3.0 / 8.0, 1.0]


def test_summary_has_medians_and_ranges():
    ours, theirs, _ = summary(turns([12.0, 4.0, 6.0], [12.0, 8.0, 3.0], [9.0, 3.0, 3.0]))
    assert (ours["peer"], theirs["peer"]) == ("epo", "rl_games")
    assert [ours[f"samples_per_s{end}"] for end in ("", "_min", "_max")] == [12.0, 9.0, 12.0]
    assert [ours[f"ratio{end}"] for end in ("", "_min", "_max")] == [3.0, 1.5, 3.0]
    assert theirs["rollout_s"] == 0.25 and theirs["peak_mem_mb"] == 40.0
    assert ratio_text(ours) == "3.00 (1.50–3.00)"


def test_incomplete_turn_counts_for_rates_only():
    # rl_games_our_openmp, perhaps the faster one, was not measured in the second turn.
    ours, *_ = summary(turns([12.0, 4.0, 6.0], [16.0, 1.0]))
    assert (ours["ratio"], ours["ratio_max"], ours["samples_per_s"]) == (2.0, 2.0, 14.0)


def test_nothing_to_compare_with_is_a_dash():
    (ours,) = summary(turns([12.0]))
    assert ours["ratio"] is None and ratio_text(ours) == "–"


def test_no_turn_is_no_row():
    assert summary([{}]) == []


@pytest.mark.parametrize("peer", ["epo", "rl_games"])
def test_peers_keep_the_order_of_the_first_turn(peer: str):
    first, second = turns([12.0, 4.0, 6.0], [12.0, 8.0, 3.0])
    backwards = dict(reversed(list(second.items())))
    assert [row["peer"] for row in summary([first, backwards])] == list(first)
