"""One run for a long time: do memory, open files or threads grow?"""

from __future__ import annotations

import math
import os
import signal
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence

from tests.stress.command import NETWORK, num_rows, start, wait
from tests.stress.experiment import Experiment, Outcome

MINUTES = float(os.environ.get("EPO_SOAK_MINUTES", "30"))
"""How long the run is watched, minutes."""
WARM_UP = 0.2
"""Share of the time that is left out: pools and caches fill."""
BLOCKS = 10
"""Means of so many equal spans are fitted: samples next to each other are not independent."""
T_975 = 2.306
"""Student's t for a two-sided 95 % interval with BLOCKS - 2 = 8 degrees of freedom."""
SAMPLE_S = 2.0
RSS_MB_PER_HOUR = 20.0
"""Growth of memory that is a leak for sure, MB per hour: the interval must not lie above it."""
UNITS = {
    "rss_mb": "memory, MB",
    "files": "open files",
    "threads": "threads",
    "children": "processes",
}


class Slope(NamedTuple):
    """A straight line through samples.

    Attributes:
        per_hour: its slope, units per hour.
        half_width: half of its 95 % interval, units per hour.
        first: mean of the first block after the warm-up.
        last: mean of the last block.
    """

    per_hour: float
    half_width: float
    first: float
    last: float


def run(case: int, folder: Path) -> Outcome:
    """Train a tiny task, with TensorBoard and a checkpoint every 20 iterations, and watch it."""
    arguments = [*NETWORK, "run_dir=run", "record.checkpoint_interval=20"]
    outcome = Outcome("soak", case, f"{MINUTES:g} minutes", result="within the limits")
    process = start(arguments, folder, stdout=-3)  # subprocess.DEVNULL
    samples: List[Dict[str, float]] = []
    begin = time.monotonic()
    while process.poll() is None and time.monotonic() - begin < 60.0 * MINUTES:
        time.sleep(SAMPLE_S)
        sample = _sample(process.pid)
        if sample:
            samples.append({"s": time.monotonic() - begin, **sample})
    process.send_signal(signal.SIGTERM)
    done = wait(process)
    outcome.fault = done.fault or ("" if done.code == 143 else f"code {done.code}, expected 143")
    slopes = {name: slope([x["s"] for x in samples], [x[name] for x in samples]) for name in UNITS}
    outcome.figures = {
        "minutes": MINUTES,
        "iterations": num_rows(folder / "run"),
        "samples": len(samples),
        "slopes": {name: list(value) for name, value in slopes.items()},
    }
    for name, value in slopes.items():
        limit = RSS_MB_PER_HOUR if name == "rss_mb" else 0.0
        if not outcome.fault and value.per_hour - value.half_width > limit:
            outcome.fault = f"{UNITS[name]} grow by {value.per_hour:.3g} per hour"
    return outcome


def slope(seconds: Sequence[float], values: Sequence[float]) -> Slope:
    """Fit a line to the means of BLOCKS equal spans of what follows the warm-up.

    Source: least squares with the standard error of the slope, Student's t with BLOCKS - 2 degrees.
    """
    begin = seconds[-1] * WARM_UP
    span = (seconds[-1] - begin) / BLOCKS
    blocks: List[List[float]] = [[] for _ in range(BLOCKS)]
    for second, value in zip(seconds, values):
        if second >= begin:
            blocks[min(int((second - begin) / span), BLOCKS - 1)].append(value)
    y = [sum(block) / len(block) for block in blocks]
    x = [(i + 0.5) * span / 3600.0 for i in range(BLOCKS)]
    x_mean, y_mean = sum(x) / BLOCKS, sum(y) / BLOCKS
    spread = sum((a - x_mean) ** 2 for a in x)
    b = sum((a - x_mean) * (v - y_mean) for a, v in zip(x, y)) / spread
    # s^2 = sum(residual^2) / (n - 2),  SE(b) = s / sqrt(sum (x - mean)^2)
    residual = sum((v - y_mean - b * (a - x_mean)) ** 2 for a, v in zip(x, y))
    error = math.sqrt(residual / (BLOCKS - 2) / spread)
    return Slope(b, T_975 * error, y[0], y[-1])


def _sample(pid: int) -> Dict[str, float]:
    """Read what a process holds now; empty once it has ended."""
    folder = Path("/proc") / str(pid)
    try:
        status = dict(
            line.split(":", 1)
            for line in (folder / "status").read_text().splitlines()
            if ":" in line
        )
        children = (folder / "task" / str(pid) / "children").read_text().split()
        return {
            "rss_mb": float(status["VmRSS"].split()[0]) / 1024.0,
            "files": float(len(os.listdir(folder / "fd"))),
            "threads": float(status["Threads"]),
            "children": float(len(children)),
        }
    except (OSError, KeyError):
        return {}


def _summary(outcomes: List[Outcome]) -> List[str]:
    lines: List[str] = []
    for outcome in outcomes:
        figures = outcome.figures
        lines += [
            f"{figures['minutes']:g} minutes, {figures['iterations']:,} iterations, "
            f"{figures['samples']} samples; slope with 95 % interval after a warm-up of "
            f"{WARM_UP:.0%}, fitted to means of {BLOCKS} spans:",
            "",
            "| | first | last | slope per hour |",
            "| --- | --- | --- | --- |",
        ]
        for name, values in figures["slopes"].items():
            it = Slope(*values)
            lines.append(
                f"| {UNITS[name]} | {it.first:.4g} | {it.last:.4g} | "
                f"{it.per_hour:+.3g} ± {it.half_width:.2g} |"
            )
    return lines


EXPERIMENT = Experiment(
    name="soak",
    promise="A long run does not fill the machine: memory grows by less than "
    f"{RSS_MB_PER_HOUR:.0f} MB per hour, open files, threads and processes not at all.",
    how="One process trains EPO on a probe with TensorBoard and a checkpoint every 20 iterations; "
    "its memory, files and threads are read every two seconds.",
    count=1,
    run=run,
    summary=_summary,
)
