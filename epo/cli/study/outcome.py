"""What a run reached, read from its metrics.csv."""

from __future__ import annotations

import math
from typing import Dict, List, NamedTuple, Sequence

from epo.cli.study.definition import EnvironmentCfg, StudyCfg
from epo.cli.study.runs import Run
from epo.cli.study.statistics import mean
from epo.config import ConfigError
from epo.record.csv import header, rows
from epo.validation import did_you_mean

FINAL_SHARE = 0.1
"""Last share of the frames, or of the time, over which a run's final performance is the mean."""


class Curve(NamedTuple):
    """A column over the course of a run, one entry per iteration, NaN left out.

    Attributes:
        frames: environment frames so far.
        wall_s: wall-clock time so far, s.
        value: the column.
    """

    frames: List[float]
    wall_s: List[float]
    value: List[float]

    def final(self, axis: str, limit: float) -> float:
        """Return the mean value over the last tenth of an axis that ends at `limit`.

        Where an iteration takes longer than that, it is the last one's value; NaN before any.
        """
        points = [(x, v) for x, v in zip(getattr(self, axis), self.value) if x <= limit]
        begin = (1.0 - FINAL_SHARE) * limit
        return mean([v for x, v in points if x > begin] or [v for _, v in points[-1:]])

    def area(self, axis: str, limit: float) -> float:
        """Return the area under the curve up to `limit`, divided by its width: a mean height.

        It begins at the first value; a single one is its own mean, and NaN stands for none.
        """
        points = [(x, v) for x, v in zip(getattr(self, axis), self.value) if x <= limit]
        if len(points) < 2:
            return mean([v for _, v in points])
        pairs = list(zip(points, points[1:]))
        total = sum(0.5 * (v + w) * (y - x) for (x, v), (y, w) in pairs)
        return total / (points[-1][0] - points[0][0])

    def first_frames(self, least: float) -> float:
        """Return the frames after which the value was `least` or more for the first time."""
        return next((x for x, v in zip(self.frames, self.value) if v >= least), math.nan)


class Outcome(NamedTuple):
    """One sample of the study.

    Attributes:
        environment, arm, seed: of the run.
        frames: its length, environment frames.
        wall_s: its duration, s.
        frames_to_solve: until the metric first reached the environment's `solved_return`; NaN
            if it never did, or there is none.
        curve: of the study's metric.
        measures: column -> mean over the iterations that have it, NaN without any.
    """

    environment: str
    arm: str
    seed: int
    frames: int
    wall_s: float
    frames_to_solve: float
    curve: Curve
    measures: Dict[str, float]


def read(run: Run, study: StudyCfg) -> Outcome:
    """Read a finished run, up to its `max_frames`: it may have been longer once.

    Raises:
        ConfigError: if it has no column of the study's metric.
    """
    environment = study.environments[run.environment]
    table = _rows(run, study, environment)
    curve = Curve([], [], [])
    for row in table:
        if math.isfinite(row[study.metric]):
            curve.frames.append(row["frames"])
            curve.wall_s.append(row["wall_s"])
            curve.value.append(row[study.metric])
    solved = environment.solved_return
    return Outcome(
        environment=run.environment,
        arm=run.arm,
        seed=run.seed,
        frames=int(table[-1]["frames"]),
        wall_s=table[-1]["wall_s"],
        frames_to_solve=math.nan if solved is None else curve.first_frames(solved),
        curve=curve,
        measures={name: _mean_of(table, name) for name in study.measures},
    )


def _rows(run: Run, study: StudyCfg, environment: EnvironmentCfg) -> List[Dict[str, float]]:
    """Read the columns that are needed, NaN where a cell is empty or a column missing."""
    path = run.folder.metrics
    columns = header(path)
    if study.metric not in columns:
        hint = did_you_mean(study.metric, columns)
        raise ConfigError("metric", study.metric, f"not in the first line of {path}{hint}")
    table = []
    for row in rows(path):
        names = ("frames", "wall_s", study.metric, *study.measures)
        table.append({name: float(row.get(name) or "nan") for name in names})
        if table[-1]["frames"] >= environment.max_frames:
            break
    return table


def _mean_of(table: Sequence[Dict[str, float]], name: str) -> float:
    return mean([row[name] for row in table if math.isfinite(row[name])])
