"""Groups of runs against the first one: the tests of `study`, at equal frames."""

from __future__ import annotations

import math
from typing import List, NamedTuple, Sequence

from epo.cli.plot.groups import Group
from epo.cli.study import text
from epo.cli.study.analysis import Comparison, Condition, verdict
from epo.cli.study.outcome import Curve
from epo.cli.study.statistics import hedges_g, holm, interquartile_mean, welch


class Line(NamedTuple):
    """A group in the table of results.

    Attributes:
        name, num_seeds: of the group.
        iqm: interquartile mean over seeds with its interval, as text.
        values: one per seed, as text.
    """

    name: str
    num_seeds: int
    iqm: str
    values: str


class Result(NamedTuple):
    """What the groups reached.

    Attributes:
        metric: column that is compared.
        frames: at which they are.
        lines: one per group that has the column.
        verdicts: sentences, one per group after the first.
    """

    metric: str
    frames: float
    lines: List[Line]
    verdicts: List[str]


def compare(groups: Sequence[Group], metric: str) -> Result:
    """Compare groups by the mean over the last tenth of the frames that all runs have."""
    curves = {group.name: [_curve(run.curves, metric) for run in group.runs] for group in groups}
    curves = {name: [c for c in own if c.frames] for name, own in curves.items()}
    curves = {name: own for name, own in curves.items() if own}
    limit = min((c.frames[-1] for own in curves.values() for c in own), default=math.nan)
    condition = Condition("", "frames", limit)
    samples = {name: [condition.of(c) for c in own] for name, own in curves.items()}
    lines = [
        Line(
            name,
            len(values),
            text.interval(interquartile_mean(values)),
            ", ".join(text.number(value) for value in values),
        )
        for name, values in samples.items()
    ]
    return Result(metric, limit, lines, _verdicts(condition, samples))


def _verdicts(condition: Condition, samples: dict) -> List[str]:
    if len(samples) < 2:
        return []
    (baseline, first), *others = samples.items()
    tests = {name: welch(first, values) for name, values in others}
    corrected = holm({name: test.p for name, test in tests.items()})
    found = [
        Comparison(condition, name, tests[name], corrected[name], hedges_g(first, values), None)
        for name, values in others
    ]
    return [verdict(comparison, baseline).replace("`", "") for comparison in found]


def _curve(curves: dict, metric: str) -> Curve:
    points = [
        (frames, wall, value)
        for frames, wall, value in zip(
            curves["frames"], curves.get("wall_s", curves["frames"]), curves.get(metric, [])
        )
        if math.isfinite(value)
    ]
    return Curve(*([point[i] for point in points] for i in range(3)))
