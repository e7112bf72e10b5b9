"""The figure: one panel per column, one line per group of runs."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Iterator, List, NamedTuple, Sequence

import numpy as np

from epo.cli.plot.groups import Band, Group, band
from epo.cli.plot.published import COLUMN, Published
from epo.config import ConfigError
from epo.record.csv import cell
from epo.record.files import write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = (
    "leader/episode_return",
    "leader/fitness",
    "eval/episode_return",
    "population/fitness_mean",
)
"""Columns drawn unless others are asked for, with the headline of the task after the first; those
without any number are left out."""
NUM_COLUMNS = 3
PANEL_INCHES = (4.6, 3.2)
LEGEND_INCHES = 0.25
"""Height of a line of the legend."""
LOG_FACTOR = 10.0
"""A published curve that is so many times longer than all runs makes the axis logarithmic."""
CSV_COLUMNS = ("column", "group", "x", "value", "low", "high")


class Panel(NamedTuple):
    """What one panel shows.

    Attributes:
        column: of metrics.csv.
        groups: drawn, those that have numbers.
        bands: their lines.
        published: what papers report.
    """

    column: str
    groups: List[Group]
    bands: List[Band]
    published: Sequence[Published]


def panels(
    groups: Sequence[Group], x: str, names: Sequence[str], published: Sequence[Published] = ()
) -> List[Panel]:
    """Give the panels that have something to show, in the order of `names`."""
    found = []
    for name in names:
        own = [(group, band(group.runs, x, name)) for group in groups]
        own = [(group, line) for group, line in own if len(line.x)]
        if own:
            of_papers = published if name == COLUMN else ()
            found.append(Panel(name, [g for g, _ in own], [b for _, b in own], of_papers))
    return found


def draw(shown: Sequence[Panel], groups: Sequence[Group], x: str) -> Figure:
    """Draw the panels.

    Raises:
        ConfigError: if matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("plot", x, "matplotlib is missing: pip install matplotlib") from error
    num_columns = min(NUM_COLUMNS, len(shown))
    num_rows = math.ceil(len(shown) / num_columns)
    size = (PANEL_INCHES[0] * num_columns, PANEL_INCHES[1] * num_rows)
    figure = Figure(figsize=size, layout="constrained")
    colors = {group.name: f"C{i % 10}" for i, group in enumerate(groups)}
    for i, panel in enumerate(shown):
        axes = figure.add_subplot(num_rows, num_columns, i + 1)
        for group, line in zip(panel.groups, panel.bands):
            _draw_group(axes, group, line, x, panel.column, colors[group.name])
        _draw_published(axes, panel)
        _label(axes, panel.column, x)
    legends = [axes.get_legend_handles_labels() for axes in figure.axes]
    lines = {label: line for pair in legends for line, label in zip(*pair)}
    num_across = max(2, num_columns)
    figure.set_figheight(size[1] + LEGEND_INCHES * math.ceil(len(lines) / num_across))
    figure.legend(lines.values(), lines, loc="outside lower center", ncols=num_across, fontsize=8)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a picture.

    Raises:
        ConfigError: if it cannot be written, or its ending is no format of pictures.
    """
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:  # ValueError: an ending that is no picture format
        raise ConfigError("out", path, f"cannot be written ({error})") from error


def save_numbers(shown: Sequence[Panel], path: Path) -> None:
    """Write what is drawn as a table: a row per point.

    Raises:
        ConfigError: if it cannot be written.
    """
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for panel in shown:
        for name, line in _lines(panel):
            for point in zip(*line):
                numbers = ["" if math.isnan(v) else cell(float(v)) for v in point]
                writer.writerow([panel.column, name, *numbers])
    try:
        write_text(path, content.getvalue())
    except OSError as error:
        raise ConfigError("out", path, f"cannot be written ({error})") from error


def _lines(panel: Panel) -> Iterator:
    yield from ((group.name, line) for group, line in zip(panel.groups, panel.bands))
    for paper in panel.published:
        x = np.asarray(paper.frames or [math.nan])
        mean, error = np.asarray(paper.mean), np.asarray(paper.error)
        yield paper.name, Band(x, mean, mean - error, mean + error)


def _draw_group(axes: Axes, group: Group, line: Band, x: str, name: str, color: str) -> None:
    if len(group.runs) == 1:
        curves = group.runs[0].curves
        axes.plot(curves[x], curves[name], color=color, alpha=0.2, linewidth=0.8)
    else:
        axes.fill_between(line.x, line.low, line.high, color=color, alpha=0.2, linewidth=0)
    axes.plot(line.x, line.value, color=color, linewidth=1.5, label=group.name)


def _draw_published(axes: Axes, panel: Panel) -> None:
    """Draw published curves as grey bands, published ends as grey stripes."""
    if not panel.published:
        return
    longest = max((line.x[-1] for line in panel.bands), default=1.0)
    for i, paper in enumerate(panel.published):
        gray = str(0.65 - 0.5 * i / max(1, len(panel.published) - 1))
        mean, error = np.asarray(paper.mean), np.asarray(paper.error)
        if paper.frames:
            style = {"color": gray, "linewidth": 0}
            axes.fill_between(paper.frames, mean - error, mean + error, alpha=0.25, **style)
            axes.plot(paper.frames, mean, "--", color=gray, linewidth=1.0, label=paper.name)
            if paper.frames[-1] > LOG_FACTOR * longest:
                axes.set_xscale("log")
        else:
            axes.axhspan(mean[0] - error[0], mean[0] + error[0], color=gray, alpha=0.2, linewidth=0)
            axes.axhline(mean[0], linestyle="--", color=gray, linewidth=1.0, label=paper.name)


def _label(axes: Axes, column: str, x: str) -> None:
    from matplotlib.ticker import EngFormatter

    axes.set_title(column, fontsize=10)
    axes.set_xlabel(x)
    if x == "frames" and axes.get_xscale() == "linear":
        axes.xaxis.set_major_formatter(EngFormatter())
    axes.grid(alpha=0.3)
