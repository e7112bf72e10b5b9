"""How long a run will take and how much memory: measured, or else what the authors report."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence

from launch.paper.campaign import Run

RESULTS = Path("docs") / "results"
REPORTED_FPS = 1.0e5
"""SAPG's authors: 48 to 60 hours for 2e10 frames on one GPU, 0.9 to 1.2e5 frames/s."""


class Estimate(NamedTuple):
    """What a run needs.

    Attributes:
        frames: of the whole run; None: without a limit.
        fps: frames per second.
        source: where `fps` comes from.
        memory_gb: of the device, GB; None: not measured.
    """

    frames: Optional[int]
    fps: float
    source: str
    memory_gb: Optional[float]

    @property
    def hours(self) -> Optional[float]:
        """Duration of the whole run, h."""
        return None if self.frames is None else self.frames / self.fps / 3600.0


class Bench:
    """Figures of `make gpu`, of the newest device.

    Args:
        folder: that holds `gpu_<device>/results.json`.
    """

    def __init__(self, folder: Path = RESULTS) -> None:
        files = sorted(folder.glob("gpu_*/results.json"), key=lambda path: path.stat().st_mtime)
        self.device = files[-1].parent.name[len("gpu_") :] if files else ""
        self._entries: Dict[str, Any] = {}
        if files:
            self._entries = json.loads(files[-1].read_text(encoding="utf-8"))

    def fps(self, task: str) -> Optional[float]:
        """Return the frames per second of a whole run of the task, or of any task."""
        return self._median("run", "fps", task)

    def memory_gb(self, task: str) -> Optional[float]:
        """Return the device memory of a whole run, GB."""
        peak = self._median("memory", "peak_mb", task)
        return None if peak is None else peak / 1e3

    def _median(self, step: str, column: str, task: str) -> Optional[float]:
        rows = [row for row in self._rows(step) if isinstance(row.get(column), (int, float))]
        own = [row[column] for row in rows if row.get("task") == task]
        found = own or [row[column] for row in rows]
        return statistics.median(found) if found else None

    def _rows(self, step: str) -> Iterator[Dict[str, Any]]:
        for name, entry in self._entries.items():
            if name.partition("/")[0] == step:
                yield from entry.get("rows", [])


def estimate(run: Run, bench: Bench, fps: Optional[float] = None) -> Estimate:
    """Estimate a run.

    Args:
        run: of the campaign.
        bench: figures of this machine.
        fps: frames per second that the user expects; None: as measured.
    """
    memory, source = bench.memory_gb(run.task), "given"
    if fps is None:
        fps, source = bench.fps(run.task), f"make gpu on {bench.device}"
    if fps is None:
        fps, source = REPORTED_FPS, "SAPG's authors, not measured here"
    return Estimate(run.cfg.max_frames, fps, source, memory)


def total_hours(estimates: Sequence[Estimate]) -> float:
    """Return the device hours of all runs that have an end."""
    hours: List[float] = [e.hours for e in estimates if e.hours is not None]
    return sum(hours)
