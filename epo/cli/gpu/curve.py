"""A learning curve that grows with every call, also on a machine that has forgotten the run."""

from __future__ import annotations

import csv as tables
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Sequence

from epo.cli.arguments import split
from epo.cli.bench.report import print_json
from epo.cli.compose import one_line_errors
from epo.cli.gpu import parts
from epo.cli.gpu.run import measured, train
from epo.record import csv
from epo.record.names import headline
from epo.runner import checkpoint
from epo.runner.run_folder import RunFolder

NAME = "curve.pt"
TABLE = "curve.csv"
COLUMNS = (
    *("iteration", "frames", "wall_s", "fps", "sim_s", "act_s", "learn_s", "lr", "kl"),
    *("leader/objective", "leader/fitness", "leader/episode_return"),
    *("population/fitness_mean", "population/fitness_best"),
    *("generation", "bad_worlds", "population/gene_distance"),
)


@dataclass
class CurveOptions:
    """Where the curve is kept, and how much longer it gets."""

    folder: str = "runs/gpu"
    """Of the results."""
    minutes: float = 5.0
    """Time of this call, minutes."""


def main(arguments: Sequence[str]) -> None:
    """Continue the run, or begin it, then save what the next call needs.

    Raises:
        ConfigError: if the run fails.
    """
    begin = time.perf_counter()
    options, settings = split(arguments, CurveOptions())
    results = Path(options.folder)
    run = RunFolder(results / "runs" / "curve")
    restored = restore(results, run, settings)
    wall_s = float(checkpoint.load(run.last)["wall_s"]) if run.last.exists() else 0.0
    left_s = max(5.0, 60.0 * options.minutes - (time.perf_counter() - begin))
    limit = f"max_minutes={(wall_s + left_s) / 60.0:.4f}"
    train(run.path, [*settings, resumed(run), limit])
    state = checkpoint.load(run.last)
    results.mkdir(parents=True, exist_ok=True)
    saved = parts.write(results, NAME, parts.slim(state))
    spec = run.read_spec()
    rows = keep_table(run.metrics, results / TABLE, spec.headline if spec else ())
    print_json(**measured(rows), wall_s=state["wall_s"], parts=len(saved), restored=restored)


def resumed(run: RunFolder) -> str:
    """Return the setting that continues a run, or begins it.

    Named, a run goes on where a newer version of the code knows more settings; `auto` would refuse.
    """
    return f"resume={run.path if run.last.exists() else 'auto'}"


def restore(results: Path, run: RunFolder, settings: Sequence[str]) -> bool:
    """Make a run folder from the saved parts where this machine has no such run.

    Returns:
        Whether that was done.
    """
    if run.last.exists() or not parts.found(results, NAME):
        return False
    kept = parts.read(results, NAME)
    train(run.path, [*settings, "max_iterations=1"])
    checkpoint.save(run.last, parts.renewed(checkpoint.load(run.last), kept))
    if (results / TABLE).exists():
        shutil.copyfile(results / TABLE, run.metrics)
    return True


def keep_table(metrics: Path, path: Path, told: Sequence[str]) -> List[Dict[str, str]]:
    """Copy the columns of a curve and the headline of its task; return its rows."""
    rows = list(csv.rows(metrics))
    known = dict.fromkeys(rows[0] if rows else (), 0.0)
    columns = [name for name in COLUMNS if name in known]
    columns += [column for _, column in headline(told, known)]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = tables.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return rows


if __name__ == "__main__":
    with one_line_errors():
        main(sys.argv[1:])
