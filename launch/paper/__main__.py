"""The command: what the campaign costs, its start, its state."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from epo.cli.arguments import check_least, split
from epo.cli.compose import one_line_errors
from epo.config import ConfigError
from epo.quoting import shell
from epo.record.progress import short
from epo.terminal import guard_streams, say
from epo.validation import did_you_mean
from launch.paper import campaign, start, status
from launch.paper.campaign import Run
from launch.paper.estimate import Bench, estimate, total_hours

USAGE = """usage: python -m launch.paper --dry-run [options] [name=value...]
       python -m launch.paper start [options] [name=value...]
       python -m launch.paper status [options]

  --dry-run   print every command with its expected frames, hours and memory; nothing starts
  start       start what is left; finished runs are skipped, others resume, those that die are
              started again
  status      a row per task and algorithm, beside the published successes

  tasks, algos   some of them, with commas; default: all 8 tasks; epo,sapg,pbt,ppo,pql
  seeds       runs of each; default 5
  root        folder of the runs; default runs/paper
  where       local (default) or slurm
  devices     GPUs, such as 0,1, one run on each at a time; default: all; cpu: the CPU
  slurm       options of sbatch, such as slurm="--partition=gpu --gpus-per-node=1"
  retries     times that a run that died is started again on this machine; default 3
  fps         frames per second to expect, instead of measured ones
  name=value  any setting of `python train.py`, for all runs, such as max_frames=5_000_000_000
"""
VERBS = ("--dry-run", "start", "status")
WHERE = ("local", "slurm")
WIDTH = 170


@dataclass
class PaperOptions:
    """Which part of the campaign, and where."""

    tasks: str = ""
    algos: str = ""
    seeds: int = 5
    root: str = "runs/paper"
    where: str = "local"
    devices: str = ""
    slurm: str = ""
    retries: int = 3
    fps: Optional[float] = None


def main(arguments: Sequence[str]) -> int:
    """Do what the verb says and return the exit code.

    Raises:
        ConfigError: at a wrong setting, a busy device or a folder in use, before anything starts.
    """
    options, others = split(arguments, PaperOptions())
    words = [word for word in others if "=" not in word]
    if not words or {"-h", "--help"} & set(words):
        print(USAGE, end="")
        return 0
    (verb, *rest), extra = words, [word for word in others if "=" in word]
    if verb not in VERBS or rest:
        wrong = rest[0] if rest else verb
        way_out = f"unknown{did_you_mean(wrong, VERBS)} (choices: {', '.join(VERBS)})"
        raise ConfigError("argument", wrong, way_out)
    _check(options)
    published = campaign.published()
    runs = campaign.expand(
        Path(options.root),
        campaign.chosen("tasks", options.tasks, list(published)),
        campaign.chosen("algos", options.algos, campaign.ALGORITHMS),
        options.seeds,
        extra,
    )
    if verb == "status":
        _print(status.COLUMNS, status.rows(status.cells(runs, published)))
        return 0
    if verb == "start":
        return _start(runs, options)
    _dry_run(runs, options)
    return 0


def _check(options: PaperOptions) -> None:
    check_least(options, seeds=1, retries=0)
    if options.fps is not None and not options.fps > 0:
        raise ConfigError("fps", options.fps, "give a positive number")
    if options.where not in WHERE:
        raise ConfigError("where", options.where, f"unknown (choices: {', '.join(WHERE)})")


def _dry_run(runs: Sequence[Run], options: PaperOptions) -> None:
    """Print the commands, a line of figures above each, and the sum."""
    bench, left = Bench(), {run.name for run in campaign.unfinished(runs)}
    estimates = []
    for run in runs:
        found = estimate(run, bench, options.fps)
        hours = "no limit" if found.hours is None else f"{found.hours:.1f} h"
        memory = "unknown" if found.memory_gb is None else f"{found.memory_gb:.1f} GB"
        done = "" if run.name in left else ", finished"
        frames = "?" if found.frames is None else short(float(found.frames))
        print(f"# {run.name}: {frames} frames, {hours}, memory {memory}{done}")
        print(shell(["python", "train.py", *run.arguments]))
        if run.name in left:
            estimates.append(found)
    sources = sorted({f"{found.fps:g} frames/s ({found.source})" for found in estimates})
    say(
        f"\n{len(runs)} runs, {len(left)} left: {total_hours(estimates):,.0f} device hours at "
        f"{'; '.join(sources)}. Memory is known after make gpu."
        if bench.memory_gb("") is None
        else f"\n{len(runs)} runs, {len(left)} left: {total_hours(estimates):,.0f} device hours."
    )


def _start(runs: Sequence[Run], options: PaperOptions) -> int:
    """Start what is left, after everything that may be refused has been looked at."""
    left = campaign.unfinished(runs)
    say(f"{len(runs) - len(left)} of {len(runs)} runs are finished already")
    if options.where == "slurm":
        number = start.submit(left, shlex.split(options.slurm))
        say(f"{number} jobs submitted, {len(left) - number} were in the queue")
        return 0
    campaign.check_free(left)
    named: List[str] = [name.strip() for name in options.devices.split(",") if name.strip()]
    devices = named if named == ["cpu"] else start.free_gpus(named)
    return start.run_here(left, start.shares(devices), options.retries)


def _print(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in ("task", "algo", "runs") else "right")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table)


if __name__ == "__main__":
    guard_streams()
    with one_line_errors():
        sys.exit(main(sys.argv[1:]))
