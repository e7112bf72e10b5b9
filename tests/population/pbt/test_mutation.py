from __future__ import annotations

import pytest
import torch

from epo.config.pbt import RULES, PbtCfg
from epo.population.pbt import mutation
from epo.population.pbt.mutation import mutate

BASE = {
    "ppo.bounds_coef": 1e-4,
    "ppo.clip_eps": 0.1,
    "ppo.entropy_coef": 0.0,
    "ppo.gamma": 0.99,
    "ppo.num_epochs": 4,
    "reward.arm_penalty": -3.0,
}
BASE_RULES = {**RULES, "reward.arm_penalty": "factor"}


def mutated(seed: int, rate: float, settings=BASE):
    generator = torch.Generator().manual_seed(seed)
    return mutate(settings, BASE_RULES, PbtCfg(mutation_rate=rate), generator)


def many(name: str):
    """Mutate one setting in 200 ways."""
    return [mutated(seed, 1.0)[name] for seed in range(200)]


@pytest.mark.parametrize("name", ["ppo.bounds_coef", "reward.arm_penalty"])
def test_factor_keeps_the_sign_and_its_range(name):
    ratios = [value / BASE[name] for value in many(name)]
    assert all(1.1 <= r <= 1.5 or 1 / 1.5 <= r <= 1 / 1.1 for r in ratios)
    assert min(ratios) < 0.72 and max(ratios) > 1.45  # both directions, nearly to their ends


def test_clip_range_stays_within_its_bounds():
    cfg = PbtCfg()
    assert mutation.clip_range(0.25, True, 1.0, cfg) == 0.3
    assert mutation.clip_range(0.012, False, 1.0, cfg) == 0.01
    assert mutation.clip_range(0.1, True, 0.5, cfg) == pytest.approx(0.13)  # factor 1.3


def test_epochs_move_by_one_within_their_bounds():
    assert set(many("ppo.num_epochs")) == {3, 5}
    cfg = PbtCfg()
    assert mutation.epochs(8, True, 0.5, cfg) == 8
    assert mutation.epochs(1, False, 0.5, cfg) == 1
    assert type(mutation.epochs(2, True, 0.5, cfg)) is int


def test_discount_changes_what_is_missing_to_one():
    ratios = [(1.0 - value) / 0.01 for value in many("ppo.gamma")]
    low, high = 1.1 - 1e-9, 1.2 + 1e-9  # 1 - (1 - x) rounds
    assert all(low <= r <= high or 1 / high <= r <= 1 / low for r in ratios)
    cfg = PbtCfg()
    assert mutation.discount(0.81, True, 1.0, cfg) == pytest.approx(0.8)  # 0.228 is too much
    assert mutation.discount(0.99991, False, 1.0, cfg) == pytest.approx(0.9999)


def test_rate_zero_changes_nothing_and_one_everything_but_zeros():
    assert mutated(0, 0.0) == BASE
    changed = mutated(0, 1.0)
    assert changed["ppo.entropy_coef"] == 0.0
    assert all(changed[name] != BASE[name] for name in BASE if name != "ppo.entropy_coef")
    assert BASE["ppo.clip_eps"] == 0.1  # the given settings stay as they are


def test_rate_is_the_chance_of_every_setting():
    hits = sum(mutated(seed, 0.15)["ppo.clip_eps"] != 0.1 for seed in range(1000))
    assert 100 < hits < 200  # 150 +- 4.4 standard deviations of 11.3


def test_draws_do_not_depend_on_what_was_mutated():
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    for generator, rate in zip(generators, (0.0, 1.0)):
        mutate(BASE, BASE_RULES, PbtCfg(mutation_rate=rate), generator)
    assert torch.equal(*(generator.get_state() for generator in generators))


def test_order_of_the_settings_does_not_matter():
    backwards = dict(reversed(list(BASE.items())))
    assert mutated(5, 0.5, backwards) == mutated(5, 0.5)
