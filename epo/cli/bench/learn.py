"""`python -m epo bench learn`: samples per second of the learner, without any simulation.

The trainer is the real one, with its recorder and its checkpoints; the environments cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, NamedTuple, Sequence, Tuple

from epo.cli.arguments import check_least, split
from epo.cli.bench.report import (
    Column,
    Row,
    number_column,
    print_table,
    rate_column,
    ratio_text,
)
from epo.cli.bench.result import print_result
from epo.cli.bench.variants import Variant, differing, variants
from epo.config import Config, ConfigError
from epo.cores import granted_cores
from epo.program import as_typed
from epo.validation import resolve

USAGE = """usage: python -m epo bench learn [repetitions=5] [warm_up=2] [threads=4] [dones=0.002]
                                 [shares=true] [net=lstm|mlp] [name=value...]

  repetitions   iterations that are timed; reported are medians
  warm_up       iterations before them
  threads       threads of torch on the CPU; default 4, or as many cores as there are
  dones         probability that an episode ends at a step; several values are compared
  shares        also the share of plain matrix products, and the overhead of the trainer
  net           short for algo.network.kind
  name=value    any setting of `python train.py`; several values are compared. By default
                  algo=ppo num_envs=1536, the published network, 16 steps, 2 epochs, 4 minibatches
                  algo=epo num_agents=64          algo=ppo num_envs=1536,3072

A table, then a line of JSON for every row. Iterations of all rows take turns, so that their
ratio (of trained samples/s, to the first row) holds on a noisy machine. On a CPU the memory is the
peak of the process with all rows; `bench scaling` gives every row a process.
"""
BEFORE = ("algo=ppo", "num_envs=1536")
"""What holds unless the command line says otherwise, or names an experiment."""
MAX_THREADS = 4
"""Threads unless told otherwise: those of the published comparison."""
KEYS = ("dones",)
COLUMNS = (
    Column("algo", lambda row: row["algo"]),
    Column("net", lambda row: row["net"]),
    number_column("agents", "agents"),
    number_column("envs", "num_envs"),
    rate_column("samples/s", "samples_per_s"),
    number_column("trained samples/s", "trained_samples_per_s"),
    number_column("rollout s", "rollout_s", "{:.4g}"),
    number_column("update s", "update_s", "{:.4g}"),
    number_column("update/products", "matmul_share", "{:.1%}"),
    number_column("rollout/products", "rollout_matmul_share", "{:.1%}"),
    number_column("overhead", "overhead_share", "{:.2%}"),
    number_column("memory MB", "peak_mem_mb"),
)


@dataclass
class LearnOptions:
    """What to measure, and how often."""

    repetitions: int = 5
    """Iterations that are timed."""
    warm_up: int = 2
    """Iterations before them."""
    threads: int = 0
    """Threads of torch on the CPU; 0: `MAX_THREADS`, or as many cores as there are."""
    dones: str = "0.002"
    """Probabilities that an episode ends at a step, separated by commas."""
    shares: bool = True
    """Also the share of plain matrix products, and of overhead."""


class Case(NamedTuple):
    """One row to measure: a variant of the settings, resolved, and its environments."""

    variant: Variant
    cfg: Config
    done_probability: float


def main(arguments: Sequence[str]) -> None:
    """Measure every variant of the command line, print a table and lines of JSON.

    All variants are built first; then their iterations take turns.

    Raises:
        ConfigError: at a wrong setting.
    """
    if {"-h", "--help"} & set(arguments):
        print(as_typed(USAGE), end="")
        return
    options, compared = read(arguments)
    # Imports torch: what came before answered at once.
    from epo.cli.bench.learn_timing import Plan, measure

    plan = Plan(options.warm_up, options.repetitions, num_threads(options.threads), options.shares)
    rows = measure([(case.cfg, case.done_probability) for case in compared], plan)
    report([{**row, "settings": list(case.variant.settings)} for row, case in zip(rows, compared)])


def num_threads(asked: int) -> int:
    """Return the threads to measure with; 0: as many as published, or as there are cores."""
    return asked or min(MAX_THREADS, granted_cores())


def read(arguments: Sequence[str]) -> Tuple[LearnOptions, List[Case]]:
    """Read a command line into its options and all rows to measure.

    Raises:
        ConfigError: at the first mistake.
    """
    options, others = split(arguments, LearnOptions())
    check_least(options, repetitions=1, warm_up=0, threads=0)
    return options, cases(others, probabilities(options.dones))


def probabilities(text: str) -> List[float]:
    """Read probabilities separated by commas.

    Raises:
        ConfigError: at the first that is none.
    """
    found = []
    for word in text.split(","):
        try:
            found.append(float(word))
        except ValueError:
            found.append(-1.0)
        if not 0.0 <= found[-1] <= 1.0:
            raise ConfigError("dones", word, "use a number from 0 to 1, or several: dones=0.002,0")
    return found


def cases(arguments: Sequence[str], done_probabilities: Sequence[float]) -> List[Case]:
    """Return every combination of settings and probabilities, ready to run.

    Raises:
        ConfigError: at the first mistake.
    """
    settings = [_spelled_out(argument) for argument in arguments]
    is_experiment = any(line.startswith("experiment=") for line in settings)
    compared = variants(settings, before=() if is_experiment else BEFORE, after=())
    return [
        # Whatever the engine, the learner may run on any device.
        Case(variant, resolve(variant.cfg)[0], probability)
        for variant in compared
        for probability in done_probabilities
    ]


def _spelled_out(argument: str) -> str:
    """Replace the short name of the kind of network."""
    name, _, value = argument.partition("=")
    return f"algo.network.kind={value}" if name == "net" else argument


def report(rows: Sequence[Row]) -> None:
    """Print the table, then one line of JSON per row."""
    compared = differing([[*row["settings"], f"dones={row['dones']:g}"] for row in rows])
    marked = [{**row, "marks": " ".join(lines)} for row, lines in zip(rows, compared)]
    marks = [Column("settings", lambda row: row["marks"])] if any(compared) else []
    ratios = [Column("ratio", ratio_text)] if len(rows) > 1 else []
    first = rows[0]
    title = [first["task"], first["device_name"], f"{first['threads']} threads"]
    print_table(" · ".join(title), [*marks, *ratios, *COLUMNS], marked)
    for row in rows:
        print_result("learn", row["device"], row["settings"], KEYS, [row])
