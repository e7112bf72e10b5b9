"""The figures of a study: learning curves, measures, and results over sizes."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Sequence

import numpy as np

from epo.cli.study.analysis import over_sizes
from epo.cli.study.definition import StudyCfg
from epo.cli.study.outcome import Outcome
from epo.cli.study.statistics import mean, standard_error
from epo.config import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NUM_COLUMNS = 3
PANEL_INCHES = (4.6, 3.2)
NUM_POINTS = 100
"""Points of a mean curve; each is about the mean over the iterations around it."""
MAX_BANDS = 5
"""Arms up to which bands of one standard error can be told apart."""
LABELS = {"frames": "frames", "wall_s": "minutes"}
UNITS = {"frames": 1.0, "wall_s": 60.0}


LINES = ("-", "--", ":")
"""One after the other when the ten colours are used up."""


def draw_curves(path: Path, study: StudyCfg, outcomes: Sequence[Outcome]) -> None:
    """Draw one panel per environment and axis, and one per environment and measure.

    Raises:
        ConfigError: if matplotlib is missing or the file cannot be written.
    """
    common = {"study": study, "outcomes": outcomes}
    panels: List[Callable[[Axes], None]] = []
    known = {outcome.environment for outcome in outcomes}
    drawn = list(study.environments) if study.curves is None else study.curves
    drawn = [name for name in drawn if name in known]
    for axis in study.axes:
        panels += [partial(_draw_curves, x=axis, name=n, **common) for n in drawn]
    for column in study.measures:
        panels += [
            partial(_draw_measure, column=column, name=n, **common) for n in study.environments
        ]
    _draw(path, panels)


def draw_sizes(path: Path, study: StudyCfg, outcomes: Sequence[Outcome]) -> None:
    """Draw one panel per series of environments that differ in size.

    Raises:
        ConfigError: if matplotlib is missing or the file cannot be written.
    """
    common = {"study": study, "outcomes": outcomes}
    _draw(path, [partial(draw_series, series=series, **common) for series in study.series])


def _draw(path: Path, panels: Sequence[Callable[[Axes], None]]) -> None:
    """Draw panels in rows over one legend."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        way_out = "matplotlib is missing: pip install matplotlib"
        raise ConfigError("results", path, way_out) from error
    num_columns = min(NUM_COLUMNS, max(len(panels), 1))
    num_rows = math.ceil(len(panels) / num_columns)
    size = (PANEL_INCHES[0] * num_columns, PANEL_INCHES[1] * num_rows + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    for i, panel in enumerate(panels):
        panel(figure.add_subplot(num_rows, num_columns, i + 1))
    legends = [axes.get_legend_handles_labels() for axes in figure.axes]
    lines = {label: line for pair in legends for line, label in zip(*pair)}
    if lines:
        columns = 2 * num_columns
        figure.legend(lines.values(), lines, loc="outside lower center", ncols=columns, fontsize=8)
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise ConfigError("results", path, f"cannot be written ({error.strerror})") from error


def mean_curve(curves: Sequence[Outcome], axis: str) -> np.ndarray:
    """Return the mean over runs on a common grid, with the standard error.

    Args:
        curves: runs of one arm.
        axis: `frames` or `wall_s`.

    Returns:
        [3, P] points on the axis, mean, standard error (NaN with one run); the grid ends where
        the shortest run does.
    """
    xs = [np.asarray(getattr(o.curve, axis)) for o in curves]
    grid = np.linspace(max(x[0] for x in xs), min(x[-1] for x in xs), NUM_POINTS)
    values = np.stack([smoothed(x, np.asarray(o.curve.value), grid) for x, o in zip(xs, curves)])
    errors = [standard_error(column) for column in values.T]
    return np.stack([grid, values.mean(axis=0), np.asarray(errors)])


def smoothed(x: np.ndarray, y: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Average over bins as wide as the grid's steps, and read the means between them."""
    step = max(grid[1] - grid[0], np.finfo(np.float64).tiny)
    _, ids, counts = np.unique(
        np.round((x - grid[0]) / step), return_inverse=True, return_counts=True
    )
    return np.interp(grid, np.bincount(ids, x) / counts, np.bincount(ids, y) / counts)


def _draw_curves(
    axes: Axes, study: StudyCfg, outcomes: Sequence[Outcome], name: str, x: str
) -> None:
    """Draw the mean curve of every arm, with a band of one standard error if they are few."""
    from matplotlib.ticker import EngFormatter

    for i, arm in enumerate(study.arms):
        own = [o for o in outcomes if (o.environment, o.arm) == (name, arm) and o.curve.frames]
        if own:
            points, means, errors = mean_curve(own, x)
            points = points / UNITS[x]
            axes.plot(points, means, **line_style(i), linewidth=1.5, label=arm)
            if len(study.arms) <= MAX_BANDS:
                low, high = means - errors, means + errors
                axes.fill_between(points, low, high, color=f"C{i % 10}", alpha=0.15)
    environment = study.environments[name]
    levels = {"solved": environment.solved_return, "published": environment.reference}
    for (label, level), style in zip(levels.items(), (":", "--")):
        if level is not None:
            axes.axhline(level, color="black", linewidth=0.8, linestyle=style, label=label)
    axes.set_title(name, fontsize=10)
    axes.set_xlabel(LABELS[x])
    if x == "frames":
        axes.xaxis.set_major_formatter(EngFormatter())
    axes.set_ylabel(study.metric, fontsize=8)
    axes.grid(alpha=0.3)


def draw_series(axes: Axes, study: StudyCfg, outcomes: Sequence[Outcome], series: str) -> None:
    """Draw the number of every arm over the sizes of a series, where it was run in several."""
    found = over_sizes(study, outcomes, series)
    for i, arm in enumerate(study.arms):
        if arm in found:
            values = found[arm].values()
            means, errors = [mean(v) for v in values], [standard_error(v) for v in values]
            marks = {**line_style(i), "marker": ".", "capsize": 2, "label": arm}
            axes.errorbar(list(found[arm]), means, np.nan_to_num(errors), **marks)
    sizes = sorted({size for own in found.values() for size in own})
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.set_title(series, fontsize=10)
    axes.set_ylabel(study.metric, fontsize=8)
    axes.grid(alpha=0.3)


def line_style(i: int) -> Dict[str, Any]:
    """Return the colour and the line of the arm at a place of the study."""
    return {"color": f"C{i % 10}", "linestyle": LINES[i // 10 % len(LINES)]}


def _draw_measure(
    axes: Axes, study: StudyCfg, outcomes: Sequence[Outcome], name: str, column: str
) -> None:
    """Draw a measure of every run as a dot over its arm, and the mean as a dash."""
    arms = []
    for i, arm in enumerate(study.arms):
        own = [o for o in outcomes if (o.environment, o.arm) == (name, arm)]
        values = [o.measures[column] for o in own if not math.isnan(o.measures[column])]
        if values:
            color = f"C{i % 10}"
            axes.plot([len(arms)] * len(values), values, "o", color=color, alpha=0.5, markersize=4)
            axes.plot([len(arms)], [mean(values)], "_", color=color, markersize=18)
            arms.append(arm)
    axes.set_xticks(range(len(arms)), arms, rotation=30, ha="right", fontsize=8)
    axes.set_title(f"{name}: {study.measures[column]}", fontsize=10)
    axes.grid(alpha=0.3, axis="y")
