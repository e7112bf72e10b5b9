"""How far a run is: share done, time left, speed, and numbers as people read them."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Deque, List, Mapping, NamedTuple, Optional, Tuple

BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class RunPlan:
    """What is known of a run before it starts.

    Attributes:
        title: what is trained, such as `AllegroKukaRegrasping · epo`.
        details: how, such as `64 agents × 384 envs · mujoco on cpu`.
        run_dir: folder of the run.
        max_frames: end of the run in frames, if it has one.
        max_iterations: end of the run in iterations, if it has one.
        max_minutes: end of the run in minutes of wall-clock time, if it has one.
        headline: what tells best how the task goes (`EnvSpec.headline`).
    """

    title: str
    details: str
    run_dir: str
    max_frames: Optional[int] = None
    max_iterations: Optional[int] = None
    max_minutes: Optional[float] = None
    headline: Tuple[str, ...] = ()


class Point(NamedTuple):
    """Where a run was after one iteration: counts, and wall-clock time in s."""

    iteration: int
    frames: int
    wall_s: float


class Progress:
    """The way a run has gone and has to go, judged by its last `window` iterations."""

    def __init__(self, plan: RunPlan, window: int = 30) -> None:
        self.plan = plan
        self._points: Deque[Point] = deque(maxlen=window)
        self._reported_fps = math.nan

    def update(self, metrics: Mapping[str, float]) -> None:
        """Take in an iteration: `iteration`, `frames`, `wall_s` and `fps`."""
        self._reported_fps = metrics.get("fps", math.nan)
        self._points.append(
            Point(int(metrics["iteration"]), int(metrics["frames"]), metrics.get("wall_s", 0.0))
        )

    @property
    def last(self) -> Point:
        """Where the run is; all zeros before the first iteration."""
        return self._points[-1] if self._points else Point(0, 0, 0.0)

    @property
    def fps(self) -> float:
        """Frames per second over the window."""
        span_s = self.last.wall_s - self._points[0].wall_s if self._points else 0.0
        if span_s <= 0.0:
            return self._reported_fps
        return (self.last.frames - self._points[0].frames) / span_s

    @property
    def fraction(self) -> Optional[float]:
        """Share of the run that is done, in [0, 1]; None if the run has no end."""
        last, plan = self.last, self.plan
        shares = [
            done / limit
            for done, limit in (
                (last.frames, plan.max_frames),
                (last.iteration, plan.max_iterations),
                (last.wall_s / 60.0, plan.max_minutes),
            )
            if limit
        ]
        return min(1.0, max(shares)) if shares else None

    @property
    def eta_s(self) -> Optional[float]:
        """Seconds left until the first limit is reached; None while unknown."""
        last, plan = self.last, self.plan
        candidates: List[float] = []
        if plan.max_minutes:
            candidates.append(plan.max_minutes * 60.0 - last.wall_s)
        span_s = last.wall_s - self._points[0].wall_s if self._points else 0.0
        if span_s > 0.0:
            if plan.max_frames:
                candidates.append((plan.max_frames - last.frames) / self.fps)
            if plan.max_iterations:
                per_iteration_s = span_s / (last.iteration - self._points[0].iteration)
                candidates.append((plan.max_iterations - last.iteration) * per_iteration_s)
        elif plan.max_frames or plan.max_iterations:
            return None  # a limit whose time cannot be told yet may come first
        return max(0.0, min(candidates)) if candidates else None


class Trend:
    """A curve over the whole session in at most `width` bins: when full, neighbours merge."""

    def __init__(self, width: int = 32) -> None:
        self._width = width
        self._bins: List[float] = []
        self._stride = 1
        self._sum, self._count = 0.0, 0

    def add(self, value: float) -> None:
        """Take in the next value; NaN is left out."""
        if not math.isfinite(value):
            return
        self._sum, self._count = self._sum + value, self._count + 1
        if self._count < self._stride:
            return
        self._bins.append(self._sum / self._count)
        self._sum, self._count = 0.0, 0
        if len(self._bins) > self._width:
            pairs = zip(self._bins[::2], self._bins[1::2])
            odd = self._bins[-1] if len(self._bins) % 2 else None
            self._bins = [(first + second) / 2 for first, second in pairs]
            self._stride *= 2
            if odd is not None:
                self._sum, self._count = odd * (self._stride // 2), self._stride // 2

    def __str__(self) -> str:
        """Draw the curve from its lowest to its highest bin."""
        if len(self._bins) < 2:
            return ""
        low, high = min(self._bins), max(self._bins)
        scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
        return "".join(BARS[round((value - low) * scale)] for value in self._bins)


def short(value: float) -> str:
    """Write a count or quantity with three digits: 4210000 is `4.21 M`."""
    if not math.isfinite(value):
        return "–"
    for limit, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= limit * 0.9995:
            return _three_digits(value / limit) + unit
    return str(int(value)) if value == int(value) else _three_digits(value)


def clock(seconds: float) -> str:
    """Write a time span as h:mm:ss, or with days."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    text = f"{hour}:{minute:02d}:{second:02d}"
    return f"{days} d {text}" if days else text


def _three_digits(value: float) -> str:
    size = abs(value)
    digits = 0 if size >= 99.95 else 1 if size >= 9.995 else 2
    if 0 < size < 0.0995:
        return f"{value:.2g}"
    return f"{value:.{digits}f}"
