"""When a judged population evolves: whether its agents differ enough, and in which words.

Each takes the fitness of all agents and the settings of evolution; the evolution has asked before
whether they differ beyond chance.
"""

from __future__ import annotations

from typing import NamedTuple

from epo.config import EvolutionCfg
from epo.population.fitness import Fitness, confidence_width, fitness_range, gap_threshold


class Verdict(NamedTuple):
    """Whether a generation shall happen, and why or why not."""

    is_worth: bool
    reason: str


def interval(fitness: Fitness, cfg: EvolutionCfg) -> Verdict:
    """Evolve at every judgement."""
    return Verdict(True, "interval")


def fitness_gap(fitness: Fitness, cfg: EvolutionCfg) -> Verdict:
    """Evolve if the range of fitness exceeds a share of its median.

    Source: EPO paper (arXiv 2503.19037) eq. 3.
    """
    return _compare(fitness_range(fitness.fitness), "", fitness, cfg)


def confident_gap(fitness: Fitness, cfg: EvolutionCfg) -> Verdict:
    """Evolve if the lower end of the range's confidence interval does so. Source: ours."""
    errors = fitness.standard_error[~fitness.fitness.isnan()]
    width = confidence_width(errors, level=cfg.confidence)
    spread = max(0.0, fitness_range(fitness.fitness) - width)
    return _compare(spread, f" with {100 * cfg.confidence:g} % confidence", fitness, cfg)


def _compare(spread: float, how: str, fitness: Fitness, cfg: EvolutionCfg) -> Verdict:
    # max_k F_k - min_k F_k > gamma median_k F_k
    least = gap_threshold(fitness.fitness, ratio=cfg.gap_ratio, floor=cfg.gap_floor)
    is_worth = spread > least
    relation = "exceeds" if is_worth else "is at most"
    return Verdict(is_worth, f"fitness gap {spread:.3g}{how} {relation} {least:.3g}")
