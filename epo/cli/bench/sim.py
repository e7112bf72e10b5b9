"""`python -m epo bench sim`: control steps per second under random actions.

Measured twice: the physics alone, and the task around it with its observations, rewards and
resets. The shares say where the time of a whole step goes.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

from epo.cli import environment
from epo.cli.arguments import check_least, split
from epo.cli.bench.report import (
    UNKNOWN,
    Column,
    Row,
    number_column,
    print_table,
    rate_column,
)
from epo.cli.bench.result import print_result
from epo.cli.bench.variants import Variant, differing, variants
from epo.config import ConfigError
from epo.program import as_typed

USAGE = """usage: python -m epo bench sim [steps=100] [seconds=5] [repetitions=5] [name=value...]

  steps         control steps of warm-up, over which bad worlds are counted
  seconds       time for each of the two measurements, physics alone and the whole task
  repetitions   parts of that time; reported are median, least and greatest
  name=value    any setting of `python train.py`; several values are compared:
                  task=AllegroKukaReorientation num_envs=256,1024
                  engine=mujoco engine.num_threads=1,2,4
                  engine=mujoco_warp engine.graph=true,false num_envs=8192

Contacts and constraint rows are counted per world during the warm-up: mean, 95th percentile, most.
A table, then a line of JSON for all rows that differ in num_envs only. Set-up includes the
compilation of kernels and the capture of a graph; kernels compiled before cost nothing.
"""


def load_text(row: Row, name: str) -> str:
    """Show a count per world: mean, 95th percentile and maximum."""
    if row[f"{name}_mean"] is None:
        return UNKNOWN
    return f"{row[f'{name}_mean']:.1f}, {row[f'{name}_p95']}, {row[f'{name}_max']}"


KEYS = ("num_envs",)
COLUMNS = (
    number_column("envs", "num_envs"),
    rate_column("physics steps/s", "physics_steps_per_s"),
    rate_column("whole task steps/s", "env_steps_per_s"),
    number_column("physics", "physics_share", "{:.1%}"),
    number_column("task", "task_share", "{:.1%}"),
    number_column("reset", "reset_share", "{:.1%}"),
    number_column("set-up s", "construct_s", "{:.1f}"),
    number_column("memory MB", "peak_mem_mb"),
    Column("contacts", lambda row: load_text(row, "contacts")),
    Column("rows", lambda row: load_text(row, "rows")),
    number_column("bad worlds", "bad_worlds"),
    number_column("overflow", "overflow"),
)


@dataclass
class SimOptions:
    """What to measure for how long."""

    steps: int = 100
    """Control steps of warm-up, over which bad worlds are counted."""
    seconds: float = 5.0
    """Time for each measurement, s."""
    repetitions: int = 5
    """Parts of that time."""


class Result(NamedTuple):
    """What was measured of a variant, and on which machine."""

    variant: Variant
    machine: Dict[str, Any]
    row: Row


def main(arguments: Sequence[str]) -> None:
    """Measure every variant of the command line, print a table and lines of JSON.

    What was measured is also printed if a later variant fails or Ctrl-C is pressed.

    Raises:
        ConfigError: at a wrong setting.
    """
    if {"-h", "--help"} & set(arguments):
        print(as_typed(USAGE), end="")
        return
    options, others = split(arguments, SimOptions())
    check(options)
    compared = variants(others)
    ready = [environment.ready(variant.cfg) for variant in compared]
    for line in dict.fromkeys(line for _, choices in ready for line in choices):
        print(line, file=sys.stderr, flush=True)
    # Imports torch: what came before answered at once.
    from epo.cli.bench.sim_timing import measure

    results: List[Result] = []
    try:
        for variant, (cfg, _) in zip(compared, ready):
            machine, row = measure(cfg, options.steps, options.seconds, options.repetitions)
            results.append(Result(variant, machine, row))
            print(progress(results[-1]), file=sys.stderr, flush=True)
    finally:
        if results:
            report(results)


def check(options: SimOptions) -> None:
    """Refuse impossible values.

    Raises:
        ConfigError: at the first of them.
    """
    check_least(options, steps=1, repetitions=1)
    if not (math.isfinite(options.seconds) and options.seconds > 0):
        raise ConfigError("seconds", options.seconds, "use a positive number")


def progress(result: Result) -> str:
    """Return what one row found, while the next one is measured."""
    physics, whole = (result.row[f"{part}_steps_per_s"] for part in ("physics", "env"))
    what = " ".join([f"num_envs={result.row['num_envs']}", *without_size(result.variant)])
    alone = "" if physics is None else f", physics alone {physics:,.0f}"
    return f"{what}: {whole:,.0f} control steps/s{alone}"


def report(results: Sequence[Result]) -> None:
    """Print the table, then one line of JSON for all rows that differ in num_envs only."""
    from epo.runner.provenance import device_name  # imports torch

    settings = [without_size(result.variant) for result in results]
    compared = differing(settings)
    rows = [{**result.row, "settings": " ".join(lines)} for result, lines in zip(results, compared)]
    marks = [Column("settings", lambda row: row["settings"])] if any(compared) else []
    machines = [result.machine for result in results]
    title = [", ".join(sorted({m[key] for m in machines})) for key in ("task", "engine")]
    name = device_name(machines[0]["device"])
    print_table(" · ".join([*title, name]), [*marks, *known(rows)], rows)
    groups: Dict[Tuple[str, ...], List[Result]] = {}
    for lines, result in zip(settings, results):
        groups.setdefault(tuple(lines), []).append(result)
    for lines, group in groups.items():
        measured = [result.row for result in group]
        machine = dict(group[0].machine)
        device, simulators = machine.pop("device"), machine.pop("simulators")
        print_result("sim", device, lines, KEYS, measured, simulators, **machine)


def known(rows: Sequence[Row]) -> List[Column]:
    """Leave out the columns that no row has: a task without a simulator has no physics to time."""
    return [column for column in COLUMNS if any(column.text(row) != UNKNOWN for row in rows)]


def without_size(variant: Variant) -> List[str]:
    """Return the settings of a variant, except its number of environments."""
    return [line for line in variant.settings if not line.startswith("num_envs=")]
