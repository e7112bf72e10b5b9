"""`python -m epo plot RUN [RUN...] out=file.png`: learning curves from `metrics.csv`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Sequence, Tuple

from epo.config import ConfigError
from epo.record.csv import METRICS, header, number, rows
from epo.validation import did_you_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

USAGE = """usage: python -m epo plot RUN [RUN...] [out=curves.png] [x=frames] [y=NAME,NAME...]

  RUN   run folder, or its metrics.csv
  out   file to write; its ending chooses the format (png, pdf, svg)
  x     column to draw over: frames, iteration or wall_s
  y     columns to draw, one panel each
"""
PANELS = (
    "leader/episode_return",
    "leader/lifted",
    "leader/successes",
    "leader/fitness",
    "population/fitness_mean",
    "success_tolerance",
)
"""Columns drawn unless `y` names others; those without any number are left out."""
NUM_COLUMNS = 3
PANEL_INCHES = (4.6, 3.2)
NUM_POINTS = 100
"""Most points of a smoothed curve; the row values lie faintly behind it."""
Curves = Dict[str, List[float]]


def main(arguments: Sequence[str]) -> None:
    """Draw the runs and say where the figure is.

    Raises:
        ConfigError: if a run or column is missing, or the figure cannot be written.
    """
    options = {"out": "curves.png", "x": "frames", "y": ""}
    paths: List[Path] = []
    for argument in arguments:
        name, is_option, value = argument.partition("=")
        if is_option and name in options:
            options[name] = value
        else:
            paths.append(Path(argument))
    if not paths:
        print(USAGE, end="")
        return
    wanted = options["y"].split(",") if options["y"] else list(PANELS)
    runs = {path.parent.name if path.is_file() else path.name: path for path in paths}
    if len(runs) < len(paths):  # the same folder name twice
        runs = {str(path): path for path in paths}
    curves = {
        name: read_curves(path, options["x"], wanted, is_strict=bool(options["y"]))
        for name, path in runs.items()
    }
    draw(curves, options["x"], wanted, Path(options["out"]))
    print(f"wrote {options['out']}")


def read_curves(run: Path, x: str, names: Sequence[str], is_strict: bool) -> Curves:
    """Read columns of a run's metrics as numbers, NaN where a cell is empty.

    Raises:
        ConfigError: if there are no metrics, no column `x` or, if strict, one of `names`.
    """
    path = run if run.is_file() else run / METRICS
    columns = header(path)
    if not columns:
        raise ConfigError("run", run, f"there is no {METRICS}; name a run folder")
    for name in [x, *names] if is_strict else [x]:
        if name not in columns:
            hint = did_you_mean(name, columns)
            raise ConfigError("column", name, f"not in the first line of {path}{hint}")
    known = [name for name in {x: None, **dict.fromkeys(names)} if name in columns]
    curves: Curves = {name: [] for name in known}
    for row in rows(path):
        for name in known:
            curves[name].append(number(row[name]))
    return curves


def draw(curves: Dict[str, Curves], x: str, names: Sequence[str], out: Path) -> None:
    """Draw one panel per column and one line per run into the file `out`."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("plot", out, "matplotlib is missing: pip install matplotlib") from error
    names = [n for n in names if any(_has_numbers(run.get(n, [])) for run in curves.values())]
    if not names:
        raise ConfigError("plot", out, "there is nothing to draw yet: no column has numbers")
    num_columns = min(NUM_COLUMNS, len(names))
    num_rows = math.ceil(len(names) / num_columns)
    size = (PANEL_INCHES[0] * num_columns, PANEL_INCHES[1] * num_rows + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    for i, name in enumerate(names):
        axes = figure.add_subplot(num_rows, num_columns, i + 1)
        for color, (label, run) in enumerate(curves.items()):
            if name in run:
                _draw_line(axes, run[x], run[name], label, f"C{color % 10}")
        axes.set_title(name, fontsize=10)
        axes.set_xlabel(x)
        axes.grid(alpha=0.3)
    legends = [axes.get_legend_handles_labels() for axes in figure.axes]
    lines = {label: line for pair in legends for line, label in zip(*pair)}
    figure.legend(lines.values(), lines, loc="outside lower center", ncols=num_columns, fontsize=8)
    try:
        figure.savefig(out, dpi=150)
    except (OSError, ValueError) as error:  # ValueError: an ending that is no picture format
        raise ConfigError("out", out, f"cannot be written ({error})") from error


def smooth(x: Sequence[float], y: Sequence[float]) -> Tuple[List[float], List[float]]:
    """Average neighbouring points until at most `NUM_POINTS` are left; NaN counts nothing."""
    points = [(a, b) for a, b in zip(x, y) if math.isfinite(b)]
    size = max(1, math.ceil(len(points) / NUM_POINTS))
    bins = [points[i : i + size] for i in range(0, len(points), size)]
    return (
        [sum(a for a, _ in part) / len(part) for part in bins],
        [sum(b for _, b in part) / len(part) for part in bins],
    )


def _draw_line(axes: Axes, x: Sequence[float], y: Sequence[float], label: str, color: str) -> None:
    axes.plot(x, y, color=color, alpha=0.2, linewidth=0.8)
    axes.plot(*smooth(x, y), color=color, linewidth=1.5, label=label)


def _has_numbers(values: Sequence[float]) -> bool:
    return any(math.isfinite(value) for value in values)
