"""The page of a study: results.csv with a row per run, README.md with what follows from it."""

from __future__ import annotations

import csv
import io
import math
from itertools import groupby
from pathlib import Path
from typing import List, Mapping, NamedTuple, Sequence

import numpy as np

from epo.cli.study import reference, text
from epo.cli.study.analysis import (
    LEVEL,
    Comparison,
    Condition,
    compare,
    conditions,
    over_sizes,
    samples,
    verdict,
)
from epo.cli.study.definition import StudyCfg
from epo.cli.study.outcome import FINAL_SHARE, Outcome
from epo.cli.study.statistics import NUM_RESAMPLES, interquartile_mean, mean, standard_error
from epo.record.csv import cell
from epo.record.files import write_text
from epo.record.progress import short

README = "README.md"
RESULTS = "results.csv"
CURVES = "curves.png"
SIZES = "sizes.png"
TRAINED = (
    "That column is of the training policy with its exploration noise, in every iteration the mean "
    "over the last finished episode of every environment that has ended one. It is no separate "
    "evaluation."
)
EVALUATED = (
    "That column is of the leader without noise, measured now and then on new episodes that are "
    "the same for all arms of a seed and no part of the training (`record.eval_interval`)."
)
SHARE = f"{100 * FINAL_SHARE:.0f} %"


class Provenance(NamedTuple):
    """Where the numbers come from.

    Attributes:
        command: what makes this page.
        machine: processor, versions.
        missing: name of a run that is not there -> why.
        trial: what was made smaller than the study asks for, if anything.
    """

    command: str
    machine: str
    missing: Mapping[str, str]
    trial: str


def write_results(path: Path, study: StudyCfg, outcomes: Sequence[Outcome]) -> None:
    """Write one row per run."""
    places = conditions(study, outcomes)
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    names = {"final": study.metric, "area": f"mean {study.metric}"}
    finals = [f"{names[n]} at equal {axis}" for axis in study.axes for n in study.numbers]
    fixed = ["environment", "arm", "seed", "frames", "wall_s", "frames_to_solve"]
    writer.writerow([*fixed, *finals, *study.measures])
    for o in outcomes:
        reached = [c.of(o.curve) for c in places if c.environment == o.environment]
        numbers = [o.wall_s, o.frames_to_solve, *reached, *o.measures.values()]
        cells = ["" if math.isnan(number) else cell(float(number)) for number in numbers]
        writer.writerow([o.environment, o.arm, o.seed, o.frames, *cells])
    write_text(path, content.getvalue())


def write_readme(
    path: Path, study: StudyCfg, outcomes: Sequence[Outcome], source: Provenance
) -> None:
    """Write the page."""
    comparisons = compare(study, outcomes)
    parts = [f"# {study.title}", text.paragraph(study.question)]
    if source.trial:
        parts.append(text.paragraph(f"**A trial, not a result: {source.trial}.**"))
    if source.missing:
        missing = [f"{name}: {why}" for name, why in source.missing.items()]
        parts += ["**Runs are missing:**", text.items(missing)]
    if study.reference:
        parts += reference.section(study, outcomes)
    if study.series:
        parts += [f"![over sizes]({SIZES})"]
        for series in study.series:
            sizes = over_sizes(study, outcomes, series)
            parts += [f"**{series}** (`{study.metric}`)", _sizes(sizes)] if sizes else []
    parts += [f"![learning curves]({CURVES})", text.items(_definitions(study))]
    for name in study.environments:
        parts += [f"## {name}", _task(study, name), _results(study, name, outcomes)]
    if comparisons:
        parts += [f"## Tests against `{study.baseline}`", _tests(comparisons)]
        parts += ["## Findings", text.items(_findings(comparisons, study.baseline))]
    if study.notes:
        parts += ["## To be kept in mind", text.items(study.notes)]
    parts += ["## How it was made", f"    {source.command}", text.paragraph(_origin(source))]
    write_text(path, "\n\n".join(parts) + "\n")


def _definitions(study: StudyCfg) -> List[str]:
    """Return what is measured."""
    lines = [
        f"A run's number is the mean of `{study.metric}` over the last {SHARE} of its frames. "
        + (EVALUATED if study.metric.startswith("eval/") else TRAINED),
        "Every training seed is one sample; episodes are none. ± is the standard error over "
        "seeds, IQM the interquartile mean with its 95 % bootstrap interval "
        f"({NUM_RESAMPLES:,} resamples).",
    ]
    if len(study.arms) > 1:
        lines.append(
            f"Welch's t-test, two-sided, of `{study.baseline}` minus the arm: negative t and g "
            "mean that the arm is higher. Holm p is corrected for all tests of this page; only a "
            f"Holm p below {LEVEL:.2f} is called significant. g is Hedges' g with its 95 % "
            "interval."
        )
    if "area" in study.numbers:
        lines.append("Area: that column's mean height from its first value to the end of the run.")
    if study.least_g:
        lines.append(
            f"A difference counts only if its Holm p is below {LEVEL:.2f} and |g| is above "
            f"{study.least_g:g}."
        )
    if any(e.solved_return is not None for e in study.environments.values()):
        lines.append(
            "Solved: runs whose column reached the threshold in some iteration. Frames to solve: "
            "the median, over those runs only, of when that was first so."
        )
    if "wall_s" in study.axes:
        lines.append(
            f"At equal time: the mean over the last {SHARE} of the time that the shortest run of "
            "the environment took."
        )
    return lines


def _sizes(found: Mapping[str, Mapping[int, Sequence[float]]]) -> str:
    """Write mean and standard error of every arm at every size of a series."""
    sizes = sorted({size for own in found.values() for size in own})
    rows = []
    for arm, own in found.items():
        values = [own.get(size, []) for size in sizes]
        cells = [text.with_error(mean(v), standard_error(v)) if v else text.UNKNOWN for v in values]
        rows.append([f"`{arm}`", *cells])
    return text.table(["arm", *(f"{size:,}" for size in sizes)], rows)


def _task(study: StudyCfg, name: str) -> str:
    environment = study.environments[name]
    solved = environment.solved_return
    threshold = "" if solved is None else f"; solved from {text.number(solved, 1)} on"
    settings = " ".join([*study.settings, *environment.settings])
    return text.paragraph(
        f"{environment.max_frames:,} frames per run{threshold}. All arms: `{settings}`."
    )


def _results(study: StudyCfg, name: str, outcomes: Sequence[Outcome]) -> str:
    places = [c for c in conditions(study, outcomes) if c.environment == name]
    header = ["arm", "settings", "seeds"]
    for condition in places:
        header += [_limit(condition), "IQM"]
    has_threshold = study.environments[name].solved_return is not None
    header += ["solved", "frames to solve"] if has_threshold else []
    header += [*study.measures.values(), "minutes per run"]
    rows = []
    for arm, settings in study.arms_of(name).items():
        own = [o for o in outcomes if (o.environment, o.arm) == (name, arm)]
        row = [f"`{arm}`", f"`{' '.join(settings)}`" if settings else "", str(len(own))]
        for condition in places:
            values = samples(condition, arm, outcomes)
            row.append(text.with_error(mean(values), standard_error(values)))
            row.append(text.interval(interquartile_mean(values)))
        minutes = mean([o.wall_s / 60.0 for o in own])
        row += _solved(own) if has_threshold else []
        row += [*_measures(study, own), text.number(minutes, 2)]
        rows.append(row)
    return text.table(header, rows)


def _limit(condition: Condition) -> str:
    at = "at" if condition.number == "final" else "area up to"
    if condition.axis == "frames":
        return f"{at} {short(condition.limit)} frames"
    return f"{at} {text.number(condition.limit / 60.0, 2)} minutes"


def _solved(own: Sequence[Outcome]) -> List[str]:
    times = [o.frames_to_solve for o in own if not math.isnan(o.frames_to_solve)]
    median = float(np.median(times)) if times else math.nan
    return [f"{len(times)} of {len(own)}", short(median)]


def _measures(study: StudyCfg, own: Sequence[Outcome]) -> List[str]:
    shown = []
    for name in study.measures:
        known = [o.measures[name] for o in own if not math.isnan(o.measures[name])]
        shown.append(text.number(mean(known), 3))
    return shown


def _tests(comparisons: Sequence[Comparison]) -> str:
    header = ["environment", "arm", "number", "t", "df", "p", "Holm p", "g"]
    has_paper = any(c.published for c in comparisons)
    rows = []
    for c in comparisons:
        row = [c.condition.environment, f"`{c.arm}`", _limit(c.condition)]
        row += [text.number(c.test.t), text.number(c.test.df, 3), text.probability(c.test.p)]
        row += [text.probability(c.holm_p), text.interval(c.g)]
        if has_paper:
            paper = c.published
            row += [text.UNKNOWN] * 2 if paper is None else [str(paper.t), paper.p]
        rows.append(row)
    return text.table([*header, *(["paper's t", "paper's p"] if has_paper else [])], rows)


def _findings(comparisons: Sequence[Comparison], baseline: str) -> List[str]:
    """Return a sentence per difference, and one for all arms of a condition that show none."""
    lines: List[str] = []
    for condition, found in groupby(comparisons, lambda c: c.condition):
        group = list(found)
        alike = [c for c in group if not (c.is_significant or c.published or math.isnan(c.test.p))]
        alike = alike if len(alike) > 1 else []
        said = [verdict(c, baseline) for c in group if c not in alike]
        said += [_no_difference(alike, baseline)] if alike else []
        lines += [f"{condition.environment}, {_limit(condition)}: {each}" for each in said]
    return lines


def _no_difference(comparisons: Sequence[Comparison], baseline: str) -> str:
    *arms, last = (f"`{c.arm}`" for c in comparisons)
    least = text.probability(min(c.holm_p for c in comparisons))
    return (
        f"no significant difference between `{baseline}` and {', '.join(arms)} or {last} "
        f"(least Holm {text.equation(least)})."
    )


def _origin(source: Provenance) -> str:
    return (
        f"One process and one thread per run; {source.machine}. All runs: `{RESULTS}`. This page "
        "is written by that command and not by hand."
    )
