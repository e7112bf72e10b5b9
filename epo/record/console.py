"""What a run shows on the screen: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, TextIO, Tuple, Union

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from epo.record.names import AGENT_FITNESS, FRAMES_TO_GENERATION, headline
from epo.record.progress import Progress, RunPlan, Trend, clock, short
from epo.terminal import say

NUM_BEST = 5
"""Agents named in the live view."""
TREND_WIDTH = 16
"""Columns of the curves in the live view."""
REFRESH_HZ = 4
WIDE = 116
"""Columns from which the live view sets its three blocks side by side."""
LINE_METRICS = (
    ("leader return", "leader/episode_return"),
    ("fitness", "leader/fitness"),
    ("population mean", "population/fitness_mean"),
    ("best", "population/fitness_best"),
)
"""Metrics of a plain line with their names there, after the headline of the task."""
LEARN_METRICS = (("step size", "lr"), ("KL", "kl"), ("entropy", "entropy"))
LEADER_METRICS = (
    ("fitness", "leader/fitness"),
    ("return", "leader/episode_return"),
)
POPULATION_METRICS = (
    ("mean", "population/fitness_mean"),
    ("best", "population/fitness_best"),
    ("gene distance", "population/gene_distance"),
)
"""Metrics of the three blocks of the live view; the headline of the task follows the leader's."""
Clock = Callable[[], float]


def build_console(kind: str, interval_s: float, plan: RunPlan) -> Union[LiveConsole, PlainConsole]:
    """Choose the view: `live`, `plain`, or by whether the output is a terminal (`auto`)."""
    console = Console()
    # FORCE_COLOR makes rich see a terminal in a log file: ask the stream itself.
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    is_live = kind == "live" or (is_terminal and not console.is_dumb_terminal)
    if is_live and kind != "plain":
        return LiveConsole(plan, console)
    return PlainConsole(plan, interval_s, sys.stdout)


def best_agents(metrics: Mapping[str, float], num: int) -> List[Tuple[str, float]]:
    """Return the agents of highest known fitness, best first."""
    start = len(AGENT_FITNESS)
    known = [
        (name[start:], value)
        for name, value in metrics.items()
        if name.startswith(AGENT_FITNESS) and not math.isnan(value)
    ]
    return sorted(known, key=lambda agent: -agent[1])[:num]


class PlainConsole:
    """Sink that prints a line at most every `interval_s`; the last row is always printed."""

    def __init__(
        self,
        plan: RunPlan,
        interval_s: float,
        stream: Optional[TextIO],
        now: Clock = time.monotonic,
    ) -> None:
        self._progress = Progress(plan)
        self._interval_s = interval_s
        self._stream = stream
        self._now = now
        self._printed_s = -math.inf
        self._pending: Optional[Mapping[str, float]] = None
        self._num_generations = 0
        self._print(f"{plan.title} · {plan.details} · {plan.run_dir}")

    def write(self, frames: int, metrics: Mapping[str, float]) -> None:
        """Print the row if the interval is over."""
        self._progress.update(metrics)
        self._pending = metrics
        if self._now() - self._printed_s >= self._interval_s:
            self._flush()

    def generation(self, row: Mapping[str, Any]) -> None:
        """Mention the generation in the next line."""
        self._num_generations += 1

    def say(self, line: str) -> None:
        """Print a line at once."""
        self._print(line)

    def close(self) -> None:
        """Print the last row."""
        self._flush()

    def _flush(self) -> None:
        if self._pending is not None:
            self._print(self._line(self._pending))
            self._printed_s = self._now()
            self._pending, self._num_generations = None, 0

    def _line(self, metrics: Mapping[str, float]) -> str:
        progress = self._progress
        fraction, eta_s = progress.fraction, progress.eta_s
        parts = [clock(progress.last.wall_s)]
        if fraction is not None:
            left = f", {clock(eta_s)} left" if eta_s else ""
            parts.append(f"{fraction:.1%}{left}")
        parts.append(f"iteration {progress.last.iteration}")
        parts.append(f"{short(progress.last.frames)} frames")
        parts.append(f"{short(progress.fps)} frames/s ({split(metrics)})")
        shown = headline(progress.plan.headline, metrics)
        for label, name in (*shown, *LINE_METRICS):
            if name in metrics:
                parts.append(f"{label} {short(metrics[name])}")
        parts += [f"(#{agent})" for agent, _ in best_agents(metrics, 1)]
        if FRAMES_TO_GENERATION in metrics:
            parts.append(f"next generation in {short(metrics[FRAMES_TO_GENERATION])} frames")
        if self._num_generations:
            parts.append(f"generations here: {self._num_generations}")
        return " | ".join(parts).replace(" | (#", " (#")

    def _print(self, line: str) -> None:
        say(line, stream=self._stream)


class LiveConsole:
    """Sink that keeps a panel at the bottom of the terminal; output of others scrolls above."""

    def __init__(
        self, plan: RunPlan, console: Optional[Console] = None, now: Clock = time.monotonic
    ) -> None:
        self._plan = plan
        self._now = now
        self._progress = Progress(plan)
        self._metrics: Mapping[str, float] = {}
        self._updated_s = now()
        self._trends: Dict[str, Trend] = {}
        self._generation = ""
        self._console = console or Console()
        self._live = Live(
            console=self._console,
            get_renderable=self.render,
            refresh_per_second=REFRESH_HZ,
        )

    def write(self, frames: int, metrics: Mapping[str, float]) -> None:
        """Show the row; the first one opens the view."""
        self._progress.update(metrics)
        for _, name in self._leader_metrics(metrics):
            trend = self._trends.setdefault(name, Trend(TREND_WIDTH))
            trend.add(metrics.get(name, math.nan))
        self._metrics, self._updated_s = metrics, self._now()
        if not self._live.is_started:
            self._live.start()

    def generation(self, row: Mapping[str, Any]) -> None:
        """Show who was replaced in the last generation."""
        self._generation = f"{row['replaced']} at {short(row['frames'])}"

    def say(self, line: str) -> None:
        """Print a line above the panel."""
        self._console.print(line, style="yellow", markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the last state on the screen and give the terminal back."""
        if self._live.is_started:
            self._updated_s = self._now()
            self._live.stop()

    def render(self) -> RenderableType:
        """Draw the panel for the terminal's present width."""
        blocks = [self._speed(), self._leader()]
        if any(name in self._metrics for _, name in POPULATION_METRICS):
            blocks.append(self._population())
        columns = Table.grid(expand=True, padding=(0, 3))
        if self._console.width >= WIDE or len(blocks) < 3:
            for _ in blocks:
                columns.add_column(ratio=1)
            columns.add_row(*blocks)
        else:
            columns.add_column(ratio=1)
            columns.add_column(ratio=1)
            columns.add_row(Group(blocks[0], Text(), blocks[1]), blocks[2])
        return Panel(
            Group(self._bar(), Text(), columns),
            title=Text.assemble((self._plan.title, "bold"), f" · {self._plan.details}"),
            subtitle=Text(self._plan.run_dir, style="dim"),
            title_align="left",
            subtitle_align="left",
            box=box.ROUNDED,
            border_style="blue",
            padding=(0, 1),
            width=self._console.width - 2,  # room for the ^C that a terminal prints
        )

    def _bar(self) -> Table:
        """Draw the share done, the frames, the time spent and the time left."""
        since_s = self._now() - self._updated_s
        plan, last = self._plan, self._progress.last
        fraction, eta_s = self._progress.fraction, self._progress.eta_s
        frames = short(last.frames) + (f" / {short(plan.max_frames)}" if plan.max_frames else "")
        row = Table.grid(expand=True, padding=(0, 2, 0, 0))
        cells: List[RenderableType] = []
        if fraction is not None:
            row.add_column(ratio=1)
            row.add_column(justify="right")
            bar = ProgressBar(total=1.0, completed=fraction, complete_style="blue")
            cells += [bar, f"[bold]{fraction:.1%}[/]"]
        row.add_column(no_wrap=True)
        row.add_column(no_wrap=True)
        left = f" · {clock(max(0.0, eta_s - since_s))} left" if eta_s else ""
        cells += [f"{frames} frames", f"{clock(last.wall_s + since_s)}{left}"]
        row.add_row(*cells)
        return row

    def _speed(self) -> Table:
        table = _block("run")
        table.add_row("iteration", f"{self._progress.last.iteration:,}")
        table.add_row("frames/s", short(self._progress.fps))
        table.add_row("time", split(self._metrics))
        _add_rows(table, LEARN_METRICS, self._metrics)
        return table

    def _leader(self) -> Table:
        table = _block("leader", has_trends=True)
        for label, name in self._leader_metrics(self._metrics):
            if name in self._metrics:
                table.add_row(label, short(self._metrics[name]), str(self._trends[name]))
        return table

    def _leader_metrics(self, metrics: Mapping[str, float]) -> List[Tuple[str, str]]:
        return [*LEADER_METRICS, *headline(self._plan.headline, metrics)]

    def _population(self) -> Table:
        table = _block("population")
        _add_rows(table, POPULATION_METRICS, self._metrics)
        best = best_agents(self._metrics, NUM_BEST)
        for rank, (agent, fitness) in enumerate(best):
            table.add_row("best agents" if rank == 0 else "", f"#{agent}: {short(fitness)}")
        if FRAMES_TO_GENERATION in self._metrics:
            left = max(0.0, self._metrics[FRAMES_TO_GENERATION])
            table.add_row("next generation", f"in {short(left)} frames")
        if self._generation:
            table.add_row("last replaced", Text(self._generation))
        return table


def split(metrics: Mapping[str, float]) -> str:
    """Return how the time divides into simulation and learning: `sim 62%, learn 38%`."""
    sim_s, learn_s = metrics.get("sim_s", 0.0), metrics.get("learn_s", 0.0)
    if not sim_s + learn_s > 0.0:
        return "–"
    share = sim_s / (sim_s + learn_s)
    return f"sim {share:.0%}, learn {1.0 - share:.0%}"


def _block(name: str, has_trends: bool = False) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    if has_trends:
        table.add_column(style="blue", no_wrap=True)
    table.add_row(f"[bold not dim]{name}[/]")
    return table


def _add_rows(
    table: Table, labels: Tuple[Tuple[str, str], ...], metrics: Mapping[str, float]
) -> None:
    for label, name in labels:
        if name in metrics:
            table.add_row(label, short(metrics[name]))
