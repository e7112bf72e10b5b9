"""What was evaluated, as a table."""

from __future__ import annotations

import math
from typing import Optional, Sequence

from rich.console import Console
from rich.table import Table

from epo.cli.eval.measure import Result
from epo.cli.study.statistics import Interval
from epo.record.progress import short
from epo.runner.saved_run import SavedRun

WIDTH_OF_FILES = 160
"""Columns of a table that is not written to a terminal: nothing of it is cut."""


def show(saved: SavedRun, found: Sequence[Result]) -> None:
    """Print one row per agent, mode and engine, and what a reader must know to judge it."""
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, WIDTH_OF_FILES)
    title = f"{saved.file}: {short(saved.state['frames'])} frames of training"
    engines = list(dict.fromkeys(result.engine for result in found))
    if len(engines) == 1:
        title += f", {engines[0]}"
    for name, level in found[0].level.items() if found else ():
        title += f", {name.replace('_', ' ')} held at {level:g}"
    console.print(title, highlight=False, markup=False, soft_wrap=True)
    console.print(table(found, with_engines=len(engines) > 1))
    missing = sum(result.num_missing for result in found)
    if missing:
        text = f"{missing} episodes had not ended and are left out; use a larger max_steps"
        console.print(text, highlight=False, soft_wrap=True)


def table(found: Sequence[Result], with_engines: bool) -> Table:
    """Tabulate means with their 95 % intervals."""
    successes = dict.fromkeys(result.success for result in found)
    names = [n for n in successes if any(n in result.metrics for result in found)]
    has_rate = any(result.success_rate is not None for result in found)
    grid = Table(box=None, pad_edge=False)
    for column in ("agent", "mode", *["engine"] * with_engines):
        grid.add_column(column, no_wrap=True)
    for column in ("episodes", "return", *names, *["succeeded"] * has_rate, "length"):
        grid.add_column(column, justify="right", no_wrap=True)
    for result in found:
        labels = [str(result.agent), result.mode, *[result.engine] * with_engines]
        cells = [str(len(result.episodes)), mean(result.episode_return)]
        cells += [mean(result.metrics.get(name)) for name in names]
        cells += [percentage(result.success_rate)] * has_rate
        grid.add_row(*labels, *cells, mean(result.length))
    return grid


def mean(value: Optional[Interval]) -> str:
    """Write `mean ±half of the interval`; `-` where nothing is known."""
    if value is None or math.isnan(value.value):
        return "-"
    text = f"{value.value:.3g}" if abs(value.value) < 1000 else f"{value.value:.0f}"
    return text + ("" if math.isnan(value.high) else f" ±{value.high - value.value:.2g}")


def percentage(share: Optional[Interval]) -> str:
    """Write `share% (low-high)`, since the interval of a share is not symmetric."""
    if share is None or math.isnan(share.value):
        return "-"
    return f"{100 * share.value:.0f}% ({100 * share.low:.0f}-{100 * share.high:.0f})"
