"""`python -m epo bench compare`: what changed between two measurements, beyond noise."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence

from epo.cli.arguments import split
from epo.cli.bench.report import Column, print_table
from epo.cli.bench.result import Key, Measure, measures, read
from epo.config import ConfigError
from epo.program import as_typed

USAGE = """usage: python -m epo bench compare BEFORE AFTER [least=0.05]

  BEFORE, AFTER   files with what benches printed: python -m epo bench sim > before.txt
  least           smallest change that counts, as a share of the median

A rate changed where the ranges of its repetitions do not touch and the medians differ by `least`.
With five repetitions on either side, ranges of equal rates come apart in one of 126 cases. They
know nothing of what a machine does from one minute to the next: measure in turns, A B A B, and
append (>>); a rate that a file holds several times has the range of them all. Exit code 1 if
something got slower.
"""
FASTER, SLOWER, SAME = "faster", "slower", "–"
MACHINE = ("device_name", "cores")
"""Entries of a result that must agree for a comparison to mean something."""


@dataclass
class CompareOptions:
    """What counts as a change."""

    least: float = 0.05
    """Share of the median."""


class Change(NamedTuple):
    """One rate in both measurements."""

    key: Key
    before: Measure
    after: Measure
    verdict: str


def main(arguments: Sequence[str]) -> None:
    """Print a table of all rates that both files hold, and what else differs.

    Raises:
        ConfigError: if a file cannot be compared.
        SystemExit: with code 1 if something got slower.
    """
    if not arguments or {"-h", "--help"} & set(arguments):
        print(as_typed(USAGE), end="")
        return
    options, words = split(arguments, CompareOptions())
    if len(words) != 2:
        raise ConfigError("compare", " ".join(words), "name two files: bench compare BEFORE AFTER")
    if not 0.0 <= options.least < 1.0:
        raise ConfigError("least", options.least, "use a share from 0 to 1, such as 0.05")
    before, after = (read(Path(word)) for word in words)
    found = compare(measures(before), measures(after), options.least)
    if not found:
        way_out = "no rate is in both; measure with the same settings"
        raise ConfigError("compare", " ".join(words), way_out)
    for line in unlike(before, after):
        print(f"warning: {line}", file=sys.stderr)
    show(found)
    only = [len(set(measures(one)) - set(measures(other))) for one, other in
            ((before, after), (after, before))]  # fmt: skip
    if any(only):
        print(f"in one file only: {only[0]} rates before, {only[1]} after")
    counts = {verdict: sum(c.verdict == verdict for c in found) for verdict in (FASTER, SLOWER)}
    same = len(found) - sum(counts.values())
    print(f"{counts[FASTER]} faster, {counts[SLOWER]} slower, {same} within noise")
    if counts[SLOWER]:
        sys.exit(1)


def compare(
    before: Mapping[Key, Measure], after: Mapping[Key, Measure], least: float
) -> List[Change]:
    """Judge every rate that both measurements have."""
    return [
        Change(key, before[key], after[key], verdict(before[key], after[key], least))
        for key in before
        if key in after
    ]


def verdict(before: Measure, after: Measure, least: float) -> str:
    """Return whether a rate changed: ranges apart, and medians by more than `least`."""
    if abs(after.median / before.median - 1.0) <= least:
        return SAME
    if after.low > before.high:
        return FASTER
    return SLOWER if after.high < before.low else SAME


def unlike(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> List[str]:
    """Return where the machine or its load was another one."""
    lines = []
    for name in MACHINE:
        values = [sorted({str(result.get(name)) for result in one}) for one in (before, after)]
        if values[0] != values[1]:
            lines.append(f"{name} differs: {', '.join(values[0])} before, {', '.join(values[1])}")
    for what, results in (("before", before), ("after", after)):
        load = max(result.get("load") or 0.0 for result in results)
        cores = min(result.get("cores") or 1 for result in results)
        if load > 0.5 * cores:
            lines.append(f"load {load:.1f} on {cores} cores {what}: other work ran beside it")
    return lines


def show(changes: Sequence[Change]) -> None:
    """Print the table; what all rows share is its title."""
    rows: List[Dict[str, Any]] = [
        {
            "what": f"{change.key.bench} {change.key.row}",
            "settings": change.key.settings,
            "quantity": change.key.quantity,
            "before": _text(change.before),
            "after": _text(change.after),
            "change": f"{change.after.median / change.before.median - 1.0:+.1%}",
            "verdict": change.verdict,
        }
        for change in changes
    ]
    settings = sorted({row["settings"] for row in rows})
    shown = ["what", "settings", "quantity", "before", "after", "change", "verdict"]
    if len(settings) == 1:
        shown.remove("settings")
    title = settings[0] if len(settings) == 1 else ""
    print_table(title, [_column(name) for name in shown], rows)


def _column(name: str) -> Column:
    return Column(name, lambda row: row[name])


def _text(measure: Measure) -> str:
    return f"{measure.median:,.0f} ({measure.low:,.0f}–{measure.high:,.0f})"
