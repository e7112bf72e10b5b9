from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from epo.config.pbt import PbtCfg, num_roles
from epo.population.pbt.decision import (
    UNKNOWN,
    Standing,
    decide,
    obstacle,
    rank,
    rescue,
    trimmed_std,
)

CFG = PbtCfg(start_after_frames=100, initial_delay_frames=200, mutation_rate=0.0)
RULES = {"ppo.clip_eps": "clip", "ppo.value_coef": "factor"}
EIGHT = [10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, -100.0]


def settings(num: int = 8):
    return {p: {"ppo.clip_eps": 0.1, "ppo.value_coef": 1.0 + p} for p in range(num)}


def decided(objective, member: int, seed: int = 0, cfg: PbtCfg = CFG):
    generator = torch.Generator().manual_seed(seed)
    given = settings(len(objective))
    return decide(rank(objective, cfg), member, given, RULES, cfg, generator)


def standing(member: int = 7, best_seen: float = -100.0, frames: int = 1000, changed_at: int = 0):
    return Standing(member, best_seen, frames, changed_at)


@pytest.mark.parametrize(
    ("fraction", "num_members", "expected"),
    [(0.125, 8, 1), (0.3, 8, 3), (0.3, 10, 3), (0.1, 30, 3), (0.3, 3, 1)],
)
def test_roles_are_rounded_up(fraction, num_members, expected):
    cfg = PbtCfg(worst_fraction=fraction, best_fraction=fraction)
    assert num_roles(cfg, num_members) == [expected, expected]


def test_spread_does_not_count_a_crashed_member():
    # One of eight is dropped; 10 to 4 have mean 7 and variance (9 + 4 + 1) * 2 / 7 = 4.
    assert rank(EIGHT, CFG).spread == pytest.approx(2.0)
    assert trimmed_std([]) == 0.0


def test_ranks_put_unknown_members_last_and_prefer_the_first_of_equals():
    ranking = rank([5.0, math.nan, 7.0, 7.0, math.nan, 1.0, 6.0, 2.0], CFG)
    assert ranking.best == [2, 3, 6]
    assert ranking.worst == [1, 4, 5]
    assert ranking.num_known == 6
    assert ranking.objective[1] == UNKNOWN


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (standing(frames=199), "just started"),
        (standing(frames=1000, changed_at=901), "changed a short while ago"),
        (standing(member=3), "not among the worst"),
        (standing(best_seen=8.0), "as good as the best"),  # as good as the last of the best three
        (standing(best_seen=7.99), ""),
        (standing(frames=200, changed_at=100), ""),
    ],
)
def test_members_are_left_alone(given, reason):
    assert reason in obstacle(rank(EIGHT, CFG), given, CFG)
    assert bool(reason) == bool(obstacle(rank(EIGHT, CFG), given, CFG))


@pytest.mark.parametrize(("num_known", "is_enough"), [(4, False), (5, True)])
def test_more_than_half_of_the_objectives_must_be_known(num_known, is_enough):
    objective = [float(p) if p < num_known else math.nan for p in range(8)]
    assert (obstacle(rank(objective, CFG), standing(best_seen=-1.0), CFG) == "") == is_enough


def test_three_objectives_must_be_known_at_least():
    ranking = rank([1.0, math.nan, 0.0], CFG)
    assert "too few" in obstacle(ranking, standing(member=1, best_seen=-math.inf), CFG)
    assert obstacle(rank([1.0, 2.0, 0.0], CFG), standing(member=2), CFG) == ""


def test_donor_is_one_of_the_best_and_all_of_them_are():
    assert {decided(EIGHT, 7, seed).donor for seed in range(50)} == {0, 1, 2}


def test_far_behind_means_copy_and_parent_coin_is_fair():
    decisions = [decided(EIGHT, 7, seed) for seed in range(400)]
    assert all(decision.is_copy for decision in decisions)
    of_donor = sum(d.settings == settings()[d.donor] for d in decisions)
    assert of_donor + sum(d.settings == settings()[7] for d in decisions) == 400
    assert 150 < of_donor < 250  # 200 +- 5 standard deviations of 10


def test_lead_at_a_threshold_copies_nothing_but_mutates():
    cfg = replace(CFG, best_fraction=0.125, mutation_rate=1.0)
    # Spread 2 of 10 to 4: a lead of exactly 0.5 * 2 = 1 is not enough, and 0.05 * 10 is less.
    at_std = [10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, -100.0]
    decision = decided(at_std, 1, cfg=cfg)
    assert (decision.delta, decision.least[0]) == (1.0, pytest.approx(1.0))
    assert not decision.is_copy
    assert decision.settings.keys() == decision.changes.keys()
    # Equal but for one: no spread is left, and 0.05 * 100 is not exceeded by 5.
    decision = decided([100.0, 100.0, 100.0, 100.0, 95.0], 4, cfg=cfg)
    assert (decision.least[0], decision.least[1], decision.delta) == (0.0, 5.0, 5.0)
    assert not decision.is_copy and decision.changes
    decision = decided([100.0, 100.0, 100.0, 100.0, 94.9], 4, cfg=cfg)
    assert decision.is_copy


def test_member_that_copies_nothing_mutates_its_own_settings():
    objective = [1.0] * 8
    for seed in range(20):
        assert decided(objective, 7, seed).settings == settings()[7]


def test_decision_writes_what_it_went_by():
    row = decided(EIGHT, 7).to_row(iteration=3, frames=99, generation=1)
    assert row["replaced"] == "[7]" and row["operator"] == "copy, mutate"
    assert row["parents"] == f"[{row['donor']}]"
    assert row["delta"] == EIGHT[row["donor"]] + 100.0
    assert row["least_delta_relative"] == pytest.approx(0.05 * EIGHT[row["donor"]])


@pytest.mark.parametrize(
    ("objective", "lost", "donors"),
    [
        ([math.nan, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0], [0], {1, 2, 3}),  # the best three
        ([math.nan] * 8, [0, 2], {1}),  # of the first three, as nothing is known
        ([math.nan] * 8, [0, 1, 2], {3, 4, 5, 6, 7}),
    ],
)
def test_lost_member_is_a_copy_of_one_that_is_not(objective, lost, donors):
    seen = set()
    for seed in range(100):
        generator = torch.Generator().manual_seed(seed)
        given = settings()
        found = rescue(rank(objective, CFG), 0, lost, given, RULES, CFG, generator)
        assert found.is_copy and found.settings == given[found.donor]  # nothing is mutated here
        assert found.to_row(1, 2, 3)["parents"] == f"[{found.donor}]"
        seen.add(found.donor)
    assert seen == donors
