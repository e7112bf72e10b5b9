"""`python -m epo bench main`: the whole main job, from its environments to its checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

from epo.cli import environment
from epo.cli.arguments import check_least, split
from epo.cli.bench.report import Column, Row, number_column, print_table, rate_column
from epo.cli.bench.result import print_result
from epo.cli.bench.variants import Variant, differing, variants
from epo.program import as_typed

USAGE = """usage: python -m epo bench main [repetitions=8] [warm_up=2] [name=value...]

  repetitions   iterations that are timed; reported are median, least and greatest
  warm_up       iterations before them
  name=value    any setting of `python train.py`; several values are compared, an iteration of
                each in turn. By default experiment=laptop, the job of `make train`, with
                staggered_starts=true, so that episodes end from the first iteration on

A real run without a screen, in a folder that is thrown away: environments, networks, evolution,
recorder, and one checkpoint beside. The parts are simulation (`sim`), acting (`act`), learning
(`learn`), and the rest: fitness, evolution, records, checkpoints at their interval. A table, then a
line of JSON for every row, to be kept for `bench compare`.
"""
BEFORE = ("experiment=laptop", "staggered_starts=true")
"""What holds unless the command line names another task, algorithm or experiment."""
PARTS = ("sim", "act", "learn", "rest")
KEYS = ("num_envs",)
COLUMNS = (
    Column("task", lambda row: row["task"]),
    Column("algo", lambda row: row["algo"]),
    number_column("agents", "agents"),
    number_column("envs", "num_envs"),
    rate_column("frames/s", "frames_per_s"),
    number_column("iteration s", "iteration_s", "{:.4g}"),
    *(number_column(part, f"{part}_share", "{:.1%}") for part in PARTS),
    number_column("set-up s", "set_up_s", "{:.1f}"),
    number_column("checkpoint s", "checkpoint_s", "{:.2g}"),
    number_column("memory MB", "peak_mem_mb"),
)


@dataclass
class MainOptions:
    """How often to measure."""

    repetitions: int = 8
    """Iterations that are timed."""
    warm_up: int = 2
    """Iterations before them."""


def main(arguments: Sequence[str]) -> None:
    """Measure every variant of the command line, print a table and lines of JSON.

    Raises:
        ConfigError: at a wrong setting.
    """
    if {"-h", "--help"} & set(arguments):
        print(as_typed(USAGE), end="")
        return
    options, others = split(arguments, MainOptions())
    check_least(options, repetitions=1, warm_up=0)
    chosen = {word.partition("=")[0] for word in others}
    is_default = not chosen & {"experiment", "task", "algo"}
    compared = variants(others, before=BEFORE if is_default else (), after=())
    ready = [environment.ready(variant.cfg)[0] for variant in compared]
    for cfg in ready:
        environment.check_learnable(cfg)
    # Imports torch: what came before answered at once.
    from epo.cli.bench.main_timing import measure

    rows = measure(ready, options.warm_up, options.repetitions)
    report(compared, rows)


def report(compared: Sequence[Variant], rows: Sequence[Row]) -> None:
    """Print the table, then one line of JSON per row."""
    marks = [" ".join(lines) for lines in differing([list(v.settings) for v in compared])]
    marked = [{**row, "marks": mark} for row, mark in zip(rows, marks)]
    columns = [Column("settings", lambda row: row["marks"])] if any(marks) else []
    print_table("the whole job", [*columns, *COLUMNS], marked)
    for variant, row in zip(compared, rows):
        simulators = row.pop("simulators")
        device = row.pop("device")
        print_result("main", device, variant.settings, KEYS, [row], simulators)
