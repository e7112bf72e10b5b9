"""Whether selection saw differences or noise."""

from __future__ import annotations

import math
from typing import List, NamedTuple, Optional, Sequence

import numpy as np
import torch

from epo.cli.report.record import Generation
from epo.population.fitness import noise_threshold

SURE = 0.95
"""Probability from which a replaced agent counts as worse for certain."""


class Verdict(NamedTuple):
    """How far one generation could tell its agents apart.

    Attributes:
        number: of the generation.
        spread: range of the fitness, task units.
        chance: range that equal agents show by chance, task units.
        certainty: mean probability that a replaced agent was worse than its child's parents.
    """

    number: int
    spread: float
    chance: float
    certainty: float

    @property
    def is_coin_flip(self) -> bool:
        """Return whether the fitness varied no more than that of equal agents."""
        return not self.spread > self.chance


def judge(generation: Generation) -> Optional[Verdict]:
    """Compare the fitness of a generation with its standard errors; None where these are unknown.

    The probability is that of two normal means: Phi((f_p - f_r) / sqrt(s_p^2 + s_r^2)), with the
    mean f_p of the two parents and their error s_p.
    """
    fitness, error = generation.fitness, generation.standard_error
    if np.isnan(error).any() or np.isnan(fitness).any():
        return None
    certainties = []
    for replaced, (first, second) in zip(generation.replaced, generation.parents):
        gap = 0.5 * (fitness[first] + fitness[second]) - fitness[replaced]
        variance = 0.25 * (error[first] ** 2 + error[second] ** 2) + error[replaced] ** 2
        certainties.append(_normal(gap, math.sqrt(variance)))
    return Verdict(
        generation.number,
        float(fitness.max() - fitness.min()),
        noise_threshold(torch.as_tensor(error), factor=1.0),
        float(np.mean(certainties)) if certainties else math.nan,
    )


def summary(verdicts: Sequence[Verdict], num_generations: int) -> str:
    """Say in two sentences how often selection was a coin flip."""
    if not verdicts:
        return "This run did not record the standard errors of its fitness."
    flips = sum(verdict.is_coin_flip for verdict in verdicts)
    sure: List[Verdict] = [verdict for verdict in verdicts if verdict.certainty >= SURE]
    missing = num_generations - len(verdicts)
    unknown = f" Of {missing} generations the errors are unknown." if missing else ""
    return (
        f"In {flips} of {len(verdicts)} generations the fitness of the agents varied no more than "
        f"that of equal agents would by chance: selection was a coin flip. In {len(sure)} the "
        "agents that were replaced were worse than the parents of their children with "
        f"{100 * SURE:.0f} % probability.{unknown}"
    )


def _normal(gap: float, error: float) -> float:
    """Give the probability that a difference measured as `gap` is positive."""
    if error == 0.0 or not math.isfinite(error):
        return 0.5 if gap == 0.0 or error else float(gap > 0.0)
    return 0.5 * (1.0 + math.erf(gap / (error * math.sqrt(2.0))))
