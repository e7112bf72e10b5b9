"""Which settings of evolution fit a population."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import pytest

from epo.config import EvolutionCfg
from epo.population.settings import check, num_roles
from tests.population.presets import NAMES
from tests.population.presets import preset as settings


@pytest.mark.parametrize(
    ("num_agents", "expected"), [(3, (1, 1)), (4, (2, 1)), (8, (2, 1)), (32, (4, 2)), (64, (8, 4))]
)
def test_automatic_roles_fit_the_population(num_agents: int, expected: Tuple[int, int]) -> None:
    # Elites max(2, K / 8) and replaced max(1, K / 16), together at most the K - 1 followers.
    assert num_roles(EvolutionCfg(), num_agents) == expected


@pytest.mark.parametrize(
    ("num_agents", "num_elites", "expected"),
    [(3, 0, (1, 1)), (4, 0, (2, 1)), (16, 0, (2, 13)), (64, 0, (8, 55)), (16, 5, (5, 10))],
)
def test_all_non_elites_are_replaced(
    num_agents: int, num_elites: int, expected: Tuple[int, int]
) -> None:
    # EPO paper, section 4.1: K - 1 - x children for x elites; the leader stays.
    cfg = EvolutionCfg(num_elites=num_elites, num_replaced=-1)
    assert num_roles(cfg, num_agents) == expected
    check(cfg, num_agents)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_replaced": 7}, "num_replaced=7 of num_agents=8.*at most 6"),
        ({"num_replaced": -2}, "num_replaced=-2: must be at least -1"),
        ({"num_elites": 7}, "num_elites=7 of num_agents=8.*at most 6"),
        ({"num_elites": 4, "num_replaced": 4}, "num_elites=4 .* num_replaced=4 exceeds the 7"),
        ({"trigger": "gap"}, "trigger='gap': choose one of fitness_gap, confident_gap, interval"),
        ({"parents": "best"}, "parents='best': choose one of elite_x_survivor, top2"),
        ({"log_std": "mean"}, "log_std='mean': choose one of keep, average"),
        ({"crossover": "two_point"}, "crossover='two_point': choose one of average, uniform"),
        ({"ranking": "random"}, "ranking='random': choose one of fitness, lot"),
        ({"gene_gradient": "no"}, "gene_gradient='no': choose one of always, until_generation"),
        ({"confidence": 1.0}, "confidence=1.0: must be between 0 and 1"),
        ({"tournament_size": 0}, "tournament_size=0: must be at least 1"),
        ({"mutation_sigma": -0.1}, "mutation_sigma=-0.1: must be at least 0"),
        ({"interval_frames": 0}, "interval_frames=0: must be at least 1"),
    ],
)
def test_impossible_settings_are_refused(changes: Dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(EvolutionCfg(**changes), 8)


def test_largest_possible_numbers_are_accepted() -> None:
    check(EvolutionCfg(num_replaced=6), 8)
    check(EvolutionCfg(num_elites=6), 8)


def test_settings_are_a_structured_config() -> None:
    omegaconf = pytest.importorskip("omegaconf")
    cfg = omegaconf.OmegaConf.structured(EvolutionCfg)
    cfg.num_replaced = 3
    assert omegaconf.OmegaConf.to_object(cfg) == EvolutionCfg(num_replaced=3)


@pytest.mark.parametrize("preset", NAMES)
@pytest.mark.parametrize("num_agents", [1, 2, 3, 6, 64])
def test_presets_fit_every_population(preset: str, num_agents: int) -> None:
    check(settings(preset), num_agents)
