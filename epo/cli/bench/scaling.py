"""`python -m epo bench scaling`: what more agents, environments and units cost the learner."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

from epo.cli.arguments import split
from epo.cli.bench.learn import COLUMNS, read
from epo.cli.bench.report import Row, number_column, print_table
from epo.cli.bench.result import print_result
from epo.config import Config, ConfigError
from epo.program import as_typed
from epo.record.files import write_text

USAGE = """usage: python -m epo bench scaling [agents=1,6,16,64,256] [envs=1,2,4,8,16]
                                   [network=1,2,4] [out=FOLDER] [name=value...]

  agents      numbers of agents of algo=epo, at the same number of environments
  envs        multiples of the number of environments, algo=ppo
  network     multiples of all layers' widths, algo=ppo
  out         folder for learn.csv, learn.json and scaling.png
  name=value  any setting of `bench learn` or of `python train.py`, for all rows:
                net=mlp repetitions=3 threads=2 num_envs=384

Shorter: agents=1,64 envs=1,4 network=1,2. Every row is a process of `bench learn`, so that its
memory is its own. A table, then a line of JSON for every row.
"""
KEYS = ("sweep", "x")
SWEEPS = {"agents": "agents", "envs": "environments", "network": "units per layer, multiple"}
"""Sweep -> what it varies."""
SHOWN = {"samples_per_s": "samples/s", "peak_mem_mb": "memory, MB"}
"""Entries of a row that are drawn."""
PANEL_INCHES = (4.2, 3.0)


@dataclass
class ScalingOptions:
    """What to vary, and where the results go."""

    agents: str = "1,6,16,64,256"
    """K, separated by commas."""
    envs: str = "1,2,4,8,16"
    """Multiples of N."""
    network: str = "1,2,4"
    """Multiples of the widths of all layers."""
    out: str = ""
    """Folder for the results; empty: they are only printed."""


class Point(NamedTuple):
    """A row to measure: where it stands in its sweep, and the settings that lead to it."""

    sweep: str
    x: int
    settings: Tuple[str, ...]


def main(arguments: Sequence[str]) -> None:
    """Measure every point in a process of its own; print and write the results.

    What was measured is also printed if a later point fails or Ctrl-C is pressed.

    Raises:
        ConfigError: at a wrong setting, or if a measurement or the folder fails.
    """
    if {"-h", "--help"} & set(arguments):
        print(as_typed(USAGE), end="")
        return
    options, others = split(arguments, ScalingOptions())
    compared = points(options, others)
    rows: List[Row] = []
    try:
        measured: Dict[Tuple[str, ...], Row] = {}
        for point in compared:
            if point.settings not in measured:
                measured[point.settings] = measure([*others, *point.settings])
            rows.append({"sweep": point.sweep, "x": point.x, **measured[point.settings]})
    finally:
        if rows:
            report(rows)
            if options.out:
                write(Path(options.out), rows)


def points(options: ScalingOptions, others: Sequence[str]) -> List[Point]:
    """Return all points; the first of `envs` and of `network` are the same measurement.

    Raises:
        ConfigError: at a wrong setting of any of them.
    """
    fixed = [line for line in others if line.startswith(("algo=", "num_agents="))]
    if fixed:
        name, _, value = fixed[0].partition("=")
        raise ConfigError(name, value, "bench scaling sets it itself; leave it out")
    cfg = _single(others)
    network, num_envs = cfg.algo.network, cfg.num_envs

    def plain(envs: int, width: int) -> Tuple[str, ...]:
        units = ",".join(str(width * units) for units in network.mlp_units)
        return (
            "algo=ppo",
            f"num_envs={envs * num_envs}",
            f"algo.network.lstm_units={width * network.lstm_units}",
            f"algo.network.mlp_units=[{units}]",
        )

    found = [
        Point("agents", k, ("algo=epo", f"num_agents={k}", f"num_envs={num_envs}"))
        for k in _numbers("agents", options.agents)
    ]
    multiples = _numbers("envs", options.envs)
    found += [Point("envs", times * num_envs, plain(times, 1)) for times in multiples]
    multiples = _numbers("network", options.network)
    found += [Point("network", times, plain(1, times)) for times in multiples]
    for settings in dict.fromkeys(point.settings for point in found):
        _single([*others, *settings])
    return found


def _single(arguments: Sequence[str]) -> Config:
    """Return the configuration of a row, as `bench learn` would read it."""
    _, found = read(arguments)
    if len(found) != 1:
        way_out = "gives several rows for each point; give every setting one value"
        raise ConfigError("argument", " ".join(arguments), way_out)
    return found[0].cfg


def _numbers(name: str, text: str) -> List[int]:
    words = text.split(",")
    if not all(word.strip().isdigit() and int(word) > 0 for word in words):
        raise ConfigError(name, text, f"give whole numbers of at least 1: {name}=1,4,16")
    return [int(word) for word in words]


def measure(arguments: Sequence[str]) -> Row:
    """Run `bench learn` in a process of its own and give its row; its progress goes to stderr.

    Raises:
        ConfigError: if it fails.
    """
    command = [sys.executable, "-m", "epo", "bench", "learn", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or len(lines) != 1:
        way_out = f"ended with code {done.returncode} and {len(lines)} rows; run it by itself"
        raise ConfigError("bench learn", " ".join(arguments), way_out)
    (row,) = json.loads(lines[0])["rows"]
    return row


def report(rows: Sequence[Row]) -> None:
    """Print a table for each sweep, then one line of JSON per row."""
    for sweep, what in SWEEPS.items():
        own = [row for row in rows if row["sweep"] == sweep]
        if own:
            # The number of agents or environments is a column of every table.
            varied = [number_column(sweep, "x")] if sweep == "network" else []
            print_table(what, [*varied, *COLUMNS], own)
    for row in rows:
        print_result("scaling", row["device"], row["settings"], KEYS, [row])


def write(folder: Path, rows: Sequence[Row]) -> None:
    """Write the rows as `learn.json` and `learn.csv`, and draw `scaling.png`.

    Raises:
        ConfigError: if the folder cannot be written, or matplotlib is missing.
    """
    flat = [{k: v for k, v in row.items() if not isinstance(v, (dict, list))} for row in rows]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "learn.json", json.dumps(list(rows), indent=1) + "\n")
        with open(folder / "learn.csv", "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(flat[0]))
            table.writeheader()
            table.writerows(flat)
        draw(folder / "scaling.png", rows)
    except OSError as error:
        raise ConfigError("out", folder, f"cannot be written ({error.strerror})") from error


def draw(path: Path, rows: Sequence[Row]) -> None:
    """Draw samples per second and memory over each sweep.

    Raises:
        ConfigError: if matplotlib is missing.
        OSError: if the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        way_out = "matplotlib is missing: pip install matplotlib"
        raise ConfigError("out", path.parent, way_out) from error
    sweeps = [name for name in SWEEPS if any(row["sweep"] == name for row in rows)]
    size = (PANEL_INCHES[0] * len(sweeps), PANEL_INCHES[1] * len(SHOWN))
    figure = Figure(figsize=size, layout="constrained")
    panels: Any = figure.subplots(len(SHOWN), len(sweeps), squeeze=False)
    for i, (entry, label) in enumerate(SHOWN.items()):
        for j, sweep in enumerate(sweeps):
            own = [row for row in rows if row["sweep"] == sweep]
            axes = panels[i][j]
            axes.plot([row["x"] for row in own], [row[entry] for row in own], "o-")
            axes.set_xscale("log", base=2)
            axes.set_xticks([row["x"] for row in own], [f"{row['x']:,}" for row in own])
            axes.minorticks_off()
            axes.set_ylim(0, 1.1 * max(row[entry] for row in own))
            axes.set_xlabel(SWEEPS[sweep])
            axes.set_ylabel(label)
            axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
