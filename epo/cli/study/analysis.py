"""From the outcomes of all runs to what is said about them: samples, tests, verdicts."""

from __future__ import annotations

import math
from typing import Dict, List, NamedTuple, Optional, Sequence

from epo.cli.study import text
from epo.cli.study.definition import PublishedCfg, StudyCfg
from epo.cli.study.outcome import Curve, Outcome
from epo.cli.study.statistics import Interval, TTest, hedges_g, holm, welch

LEVEL = 0.05
"""Corrected p below which a difference counts as significant."""


class Condition(NamedTuple):
    """What samples have in common: the environment, and where on which axis they were taken.

    Attributes:
        environment: name in the study.
        axis: `frames` or `wall_s`.
        limit: end of the last tenth over which a sample is the mean, or of the area, frames or s.
        number: `final` or `area`.
    """

    environment: str
    axis: str
    limit: float
    number: str = "final"

    def of(self, curve: Curve) -> float:
        """Return the number that is compared of a run's curve."""
        return getattr(curve, self.number)(self.axis, self.limit)


class Comparison(NamedTuple):
    """An arm against the baseline; the sign is that of baseline - arm.

    Attributes:
        condition: where both were sampled.
        arm: name in the study.
        test: Welch's t-test.
        holm_p: its p, corrected for all tests of the study.
        g: Hedges' g.
        published: what a paper reports of the two.
        least_g: what |g| must exceed to count.
    """

    condition: Condition
    arm: str
    test: TTest
    holm_p: float
    g: Interval
    published: Optional[PublishedCfg]
    least_g: float = 0.0

    @property
    def is_significant(self) -> bool:
        """Return whether the corrected p is below `LEVEL`; False where there was no test."""
        return self.holm_p < LEVEL


def conditions(study: StudyCfg, outcomes: Sequence[Outcome]) -> List[Condition]:
    """List where the arms are compared: after equal frames, after equal times.

    The time is the shortest that any run of the environment took.
    """
    found = []
    for axis in study.axes:
        for name in study.environments:
            lengths = [getattr(o, axis) for o in outcomes if o.environment == name]
            if lengths:
                limit = float(min(lengths))
                found += [Condition(name, axis, limit, number) for number in study.numbers]
    return found


def samples(condition: Condition, arm: str, outcomes: Sequence[Outcome]) -> List[float]:
    """Return one number per training seed: of the metric, up to the end of the condition's axis."""
    finals = (
        condition.of(outcome.curve)
        for outcome in outcomes
        if (outcome.environment, outcome.arm) == (condition.environment, arm)
    )
    return [value for value in finals if not math.isnan(value)]


def over_sizes(
    study: StudyCfg, outcomes: Sequence[Outcome], series: str
) -> Dict[str, Dict[int, List[float]]]:
    """Return arm -> size of its environment, in order -> one number per training seed.

    The number is the study's first, on its first axis. Arms of a single size are left out.
    """
    sizes = {n: e.series[series] for n, e in study.environments.items() if series in e.series}
    first = (study.axes[0], study.numbers[0])
    places = {
        sizes[c.environment]: c
        for c in conditions(study, outcomes)
        if c.environment in sizes and (c.axis, c.number) == first
    }
    found: Dict[str, Dict[int, List[float]]] = {}
    for arm in study.arms:
        own = {size: samples(places[size], arm, outcomes) for size in sorted(places)}
        own = {size: values for size, values in own.items() if values}
        if len(own) > 1:
            found[arm] = own
    return found


def compare(study: StudyCfg, outcomes: Sequence[Outcome]) -> List[Comparison]:
    """Test every arm against the baseline under every condition; all tests are one family."""
    found: Dict[int, Comparison] = {}
    for condition in conditions(study, outcomes):
        arms = study.arms_of(condition.environment)
        baseline = samples(condition, study.baseline, outcomes)
        published = study.environments[condition.environment].published
        for arm in arms:
            if arm != study.baseline and study.baseline in arms:
                own = samples(condition, arm, outcomes)
                test, g = welch(baseline, own), hedges_g(baseline, own)
                found[len(found)] = Comparison(
                    condition, arm, test, math.nan, g, published.get(arm), study.least_g
                )
    corrected = holm({i: comparison.test.p for i, comparison in found.items()})
    return [found[i]._replace(holm_p=p) for i, p in corrected.items()]


def verdict(comparison: Comparison, baseline: str) -> str:
    """Say in one sentence what a comparison shows, by rule, and what the paper reports."""
    arm, test = f"`{comparison.arm}`", comparison.test
    if math.isnan(test.p):
        return f"{arm} against `{baseline}`: cannot be tested (too few runs, or none differ)."
    p = text.equation(text.probability(comparison.holm_p))
    numbers = f"Holm {p}, g {text.interval(comparison.g)}"
    if comparison.is_significant and abs(comparison.g.value) <= comparison.least_g:
        said = f"{arm} differs from `{baseline}`, but by too little to count ({numbers})"
    elif comparison.is_significant:
        direction = "higher" if test.t < 0 else "lower"
        said = f"{arm} is significantly {direction} than `{baseline}` ({numbers})"
    else:
        said = f"no significant difference between {arm} and `{baseline}` ({numbers})"
    return f"{said}{_beside_paper(comparison)}."


def _beside_paper(comparison: Comparison) -> str:
    """Put the paper's own test beside ours."""
    paper = comparison.published
    if paper is None:
        return ""
    p = text.equation(paper.p)
    if paper.bound >= LEVEL:
        return f"; the paper reports no significant difference ({p})"
    is_same = comparison.is_significant and (comparison.test.t < 0) == (paper.t < 0)
    seen = "seen here too" if is_same else "not seen here"
    return f"; the paper's difference ({p}) is {seen}"
