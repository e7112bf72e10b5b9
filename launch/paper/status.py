"""How far the campaign is: a row per task and algorithm, beside what is published."""

from __future__ import annotations

import math
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from epo.cli.past_runs import overview
from epo.cli.past_runs.overview import RUNNING, Overview
from epo.cli.study import statistics
from epo.record.progress import clock, short
from launch.paper.campaign import Run

WAITING = "waiting"
COLUMNS = ("task", "algo", "runs", "frames", "frames/s", "ETA", "successes", "published", "")


class Cell(NamedTuple):
    """Runs of one task and algorithm.

    Attributes:
        task, algo: of all of them.
        states: state -> number of runs.
        frames: of all runs that have begun, mean.
        fps: of the running ones, mean; NaN: none runs.
        left_s: until the last running one ends, s; NaN: unknown.
        successes: of the leader at the end of every run that has begun.
        published: mean and spread, or None.
    """

    task: str
    algo: str
    states: Dict[str, int]
    frames: float
    fps: float
    left_s: float
    successes: List[float]
    published: Optional[Tuple[float, float]]

    @property
    def verdict(self) -> str:
        """Say where the mean lies beside the published band, once all runs are finished."""
        if self.published is None or set(self.states) != {"finished"}:
            return ""
        mean, band = self.published
        own = statistics.mean(self.successes)
        if math.isnan(own):
            return ""
        return "inside" if abs(own - mean) <= band else "above" if own > mean else "below"


def cells(runs: Sequence[Run], published: Dict[str, Dict[str, Tuple[float, float]]]) -> List[Cell]:
    """Look at all runs."""
    groups: Dict[Tuple[str, str], List[Run]] = {}
    for run in runs:
        groups.setdefault((run.task, run.algo), []).append(run)
    return [
        _cell(task, algo, group, published.get(task, {}).get(algo))
        for (task, algo), group in groups.items()
    ]


def rows(found: Sequence[Cell]) -> List[List[str]]:
    """Return the cells of a table under `COLUMNS`."""
    return [
        [
            cell.task,
            cell.algo,
            ", ".join(f"{number} {state}" for state, number in cell.states.items()),
            short(cell.frames),
            short(cell.fps),
            "–" if math.isnan(cell.left_s) else clock(cell.left_s),
            _with_error(cell.successes),
            "–" if cell.published is None else "{:g} ± {:g}".format(*cell.published),
            cell.verdict,
        ]
        for cell in found
    ]


def _cell(
    task: str, algo: str, runs: Sequence[Run], published: Optional[Tuple[float, float]]
) -> Cell:
    states: Dict[str, int] = {}
    seen: List[Tuple[Run, Overview]] = []
    for run in runs:
        if run.folder.config.is_file():
            seen.append((run, overview.read(run.folder)))
        state = seen[-1][1].state if seen and seen[-1][0] is run else WAITING
        states[state] = states.get(state, 0) + 1
    running = [(run, look) for run, look in seen if look.state == RUNNING and look.fps > 0]
    left = [
        (run.cfg.max_frames - look.frames) / look.fps
        for run, look in running
        if run.cfg.max_frames is not None
    ]
    return Cell(
        task,
        algo,
        states,
        statistics.mean([look.frames for _, look in seen]),
        statistics.mean([look.fps for _, look in running]),
        max(left, default=math.nan),
        [look.success for _, look in seen if math.isfinite(look.success)],
        published,
    )


def _with_error(samples: Sequence[float]) -> str:
    if not samples:
        return "–"
    error = statistics.standard_error(samples)
    mean = f"{statistics.mean(samples):.1f}"
    return mean if math.isnan(error) else f"{mean} ± {error:.1f}"
