"""Runs to be drawn, their columns, and which of them differ in their seed alone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from epo.cli.plot.options import folder_of
from epo.cli.study.figure import NUM_POINTS, smoothed
from epo.cli.study.statistics import interquartile_mean
from epo.config import ConfigError
from epo.dotted import flat
from epo.record.csv import METRICS, header, number, rows
from epo.runner.run_folder import RunFolder
from epo.runner.start import differences
from epo.validation import did_you_mean

NUM_RESAMPLES = 1000
"""Of the bootstrap at each point of a band."""
MAX_NAMED = 3
"""Settings in the name of a group, at most."""
Curves = Dict[str, List[float]]


class Run(NamedTuple):
    """A run on disk.

    Attributes:
        folder: of the run.
        settings: its resolved configuration; empty if it cannot be read.
        curves: column -> one number per iteration, NaN where a cell is empty.
    """

    folder: RunFolder
    settings: Dict[str, Any]
    curves: Curves

    @property
    def seed(self) -> str:
        """Its seed; `?` where nobody knows."""
        return str(self.settings.get("seed", "?"))

    @property
    def task(self) -> str:
        """Name of its task; empty where nobody knows."""
        group = self.settings.get("task")
        return str(group.get("env_id") or group.get("name")) if isinstance(group, dict) else ""

    @property
    def algo(self) -> str:
        """Name of its algorithm; empty where nobody knows."""
        group = self.settings.get("algo")
        return str(group.get("name")) if isinstance(group, dict) else ""


class Group(NamedTuple):
    """Runs that differ in their seed alone, or a single one.

    Attributes:
        name: what distinguishes it from the others.
        runs: one per seed.
    """

    name: str
    runs: List[Run]


class Band(NamedTuple):
    """A line and what surrounds it, [P] each.

    Attributes:
        x: points on the axis.
        value: interquartile mean over seeds; of a single run, its smoothed course.
        low, high: its 95 % bootstrap interval; NaN for a single run.
    """

    x: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def read_run(path: Path, x: str, names: Sequence[str], is_strict: bool) -> Run:
    """Read a run for drawing; see `read_curves`."""
    folder = RunFolder(folder_of(path))
    curves = read_curves(path, x, names, is_strict)
    return Run(folder, folder.read_config() or {}, curves)


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


def grouped(runs: Sequence[Run], is_wanted: bool = True) -> List[Group]:
    """Put runs together that differ in their seed alone.

    Args:
        runs: in the order of the command line.
        is_wanted: False: every run stays alone.
    """
    parts: List[List[Run]] = []
    for run in runs:
        own = next((p for p in parts if is_wanted and _are_alike(p[0], run)), None)
        if own is None:
            parts.append([run])
        else:
            own.append(run)
    return [Group(name, part) for name, part in zip(_names(parts), parts)]


def band(runs: Sequence[Run], x: str, name: str) -> Band:
    """Give the line of a group: interquartile mean with its band, or the smoothed single run.

    The grid ends where the shortest run does.

    Returns:
        The band; without points if no run has the column.
    """
    points = [_finite(run.curves.get(x, []), run.curves.get(name, [])) for run in runs]
    points = [(xs, ys) for xs, ys in points if len(xs)]
    if not points:
        return Band(*(np.empty(0) for _ in range(4)))
    if len(points) == 1:
        xs, ys = (np.asarray(part) for part in smooth(*points[0]))
        return Band(xs, ys, np.full(len(xs), math.nan), np.full(len(xs), math.nan))
    grid = np.linspace(max(xs[0] for xs, _ in points), min(xs[-1] for xs, _ in points), NUM_POINTS)
    values = np.stack([smoothed(np.asarray(xs), np.asarray(ys), grid) for xs, ys in points])
    found = [interquartile_mean(column, num_resamples=NUM_RESAMPLES) for column in values.T]
    return Band(grid, *np.asarray(found).T)


def smooth(x: Sequence[float], y: Sequence[float]) -> Tuple[List[float], List[float]]:
    """Average neighbouring points until at most `NUM_POINTS` are left; NaN counts nothing."""
    points = list(zip(*_finite(x, y)))
    size = max(1, math.ceil(len(points) / NUM_POINTS))
    bins = [points[i : i + size] for i in range(0, len(points), size)]
    return (
        [sum(a for a, _ in part) / len(part) for part in bins],
        [sum(b for _, b in part) / len(part) for part in bins],
    )


def _finite(x: Sequence[float], y: Sequence[float]) -> Tuple[List[float], List[float]]:
    """Leave out the points without a number."""
    points = [(a, b) for a, b in zip(x, y) if math.isfinite(a) and math.isfinite(b)]
    return [a for a, _ in points], [b for _, b in points]


def _are_alike(first: Run, second: Run) -> bool:
    """Return whether two runs differ in their seed, and in nothing else that counts."""
    if not (first.settings and second.settings):
        return False
    return set(differences(first.settings, second.settings)) == {"seed"}


def _names(parts: Sequence[Sequence[Run]]) -> List[str]:
    """Name every group by what it has and the others have not, with its number of seeds."""
    if all(len(part) == 1 for part in parts):
        return _folder_names([part[0] for part in parts])
    names = _distinctions([part[0] for part in parts])
    if len(set(names)) < len(names):
        names = _folder_names([part[0] for part in parts])
    return [f"{n} ({len(p)} seeds)" if len(p) > 1 else n for n, p in zip(names, parts)]


def _folder_names(runs: Sequence[Run]) -> List[str]:
    paths = [run.folder.path for run in runs]
    names = [path.name or str(path) for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _distinctions(runs: Sequence[Run]) -> List[str]:
    """Name runs by task and algorithm, and where these are alike by settings that differ."""
    has_tasks = len({run.task for run in runs}) > 1
    names = [f"{run.task} {run.algo}" if has_tasks else run.algo for run in runs]
    told: Dict[str, None] = {}
    for i, first in enumerate(runs):
        for j in range(i):
            if names[i] == names[j]:
                told.update(dict.fromkeys(differences(runs[j].settings, first.settings)))
    told.pop("seed", None)
    trees = [flat(run.settings) for run in runs]
    tails = [[f"{n}={tree[n]}" for n in list(told)[:MAX_NAMED] if n in tree] for tree in trees]
    return [" ".join([name, *tail]) for name, tail in zip(names, tails)]
