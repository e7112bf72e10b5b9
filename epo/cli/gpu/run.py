"""A whole run of train.py for some minutes, and where its time went, as JSON."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Sequence

from epo.cli.arguments import split
from epo.cli.bench.report import Row, print_json
from epo.cli.compose import one_line_errors
from epo.cli.environment import CONFIG_DIR
from epo.config import ConfigError
from epo.program import training
from epo.record import csv
from epo.runner.guard import StopSignal
from epo.runner.run_folder import RunFolder

TRAIN = training(CONFIG_DIR.parent)
WARM_UP = 3
"""Iterations that are not counted: kernels are loaded, episodes begin together."""
TIMES = ("fps", "sim_s", "act_s", "learn_s")
LAST = ("leader/objective", "generation", "kl", "bad_worlds", "lr")
PLAIN = ("record.console=plain", "record.tensorboard=false")


@dataclass
class RunOptions:
    """Where the run goes."""

    runs: str = "runs/gpu"
    """Folder of run folders; an earlier run of the same task there is replaced."""


def main(arguments: Sequence[str]) -> None:
    """Train, then print the medians of the run.

    Raises:
        ConfigError: if the run fails.
    """
    options, others = split(arguments, RunOptions())
    task = next(line for line in others if line.startswith("task=")).partition("=")[2]
    folder = Path(options.runs) / task
    shutil.rmtree(folder, ignore_errors=True)
    train(folder, [*others])
    print_json(task=task, **measured(list(csv.rows(RunFolder(folder).metrics))))


def train(folder: Path, settings: Sequence[str]) -> None:
    """Run train.py in `folder` and wait for its end, which SIGTERM may bring about.

    Raises:
        ConfigError: if it fails.
    """
    command = [*TRAIN, f"run_dir={folder}", *PLAIN, *settings]
    with StopSignal():  # it reaches the run, too; what follows is still done
        code = subprocess.run(command, check=False).returncode
    if code not in (0, 143):
        raise ConfigError("run", folder, f"ended with code {code}; see the lines above")


def measured(rows: List[Dict[str, str]]) -> Row:
    """Return medians of the iterations' times, and the last numbers of the run.

    Raises:
        ConfigError: if there was no iteration.
    """
    if not rows:
        raise ConfigError("max_minutes", "(given)", "no iteration came to its end; use more")
    counted = rows[WARM_UP:] or rows
    found: Row = {"iterations": len(rows), "frames": float(rows[-1]["frames"])}
    for name in TIMES:
        found[name] = statistics.median(float(row[name]) for row in counted)
    found["frames_per_s_over_all"] = found["frames"] / float(rows[-1]["wall_s"])
    found.update({name: csv.number(rows[-1][name]) for name in LAST if name in rows[-1]})
    return {name: None if value != value else value for name, value in found.items()}


if __name__ == "__main__":
    with one_line_errors():
        main(sys.argv[1:])
