"""What a run left behind, as a page needs it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from epo.cli.past_runs.overview import Overview
from epo.cli.past_runs.overview import read as read_overview
from epo.cli.plot.groups import Curves, Run, read_curves
from epo.dotted import flat
from epo.record.csv import GENES, WARNINGS, header, number, rows
from epo.record.names import AGENT_FITNESS
from epo.runner.run_folder import RunFolder


class Generation(NamedTuple):
    """One row of `generations.csv`.

    Attributes:
        number, frames: 1 for the first generation; when it happened.
        reason: what made it happen.
        fitness, standard_error: [K] at the decision, task units; NaN where unknown.
        replaced: agents that received a child.
        parents: two agents per child.
        child_ids: gene id per child.
    """

    number: int
    frames: float
    reason: str
    fitness: np.ndarray
    standard_error: np.ndarray
    replaced: List[int]
    parents: List[Tuple[int, int]]
    child_ids: List[int]


class GeneTable(NamedTuple):
    """The content of `genes.csv`, M moments.

    Attributes:
        frames: [M].
        ids: [M, K] gene ids.
        fitness: [M, K] task units, NaN where unknown.
        genes: [M, K, G].
    """

    frames: np.ndarray
    ids: np.ndarray
    fitness: np.ndarray
    genes: np.ndarray


class Record(NamedTuple):
    """Everything that is read of one run.

    Attributes:
        run: its folder, settings and all columns of metrics.csv.
        overview: how far it came.
        generations: genetic events, the oldest first; none without evolution of genes.
        genes: None if the run kept none.
        warnings: rows of warnings.csv.
        versions: of packages and hardware.
        command: of the last session.
    """

    run: Run
    overview: Overview
    generations: List[Generation]
    genes: Optional[GeneTable]
    warnings: List[Dict[str, str]]
    versions: Dict[str, str]
    command: str

    def column(self, name: str) -> np.ndarray:
        """Give a column, one number per iteration; all NaN if there is none."""
        curves = self.run.curves
        return np.asarray(curves.get(name, [math.nan] * len(curves["frames"])))

    @property
    def agent_fitness(self) -> np.ndarray:
        """Fitness of all agents in every iteration, [I, K]."""
        names = sorted(name for name in self.run.curves if name.startswith(AGENT_FITNESS))
        return (
            np.stack([self.column(name) for name in names], axis=1) if names else np.empty((0, 0))
        )


def read(path: Path) -> Record:
    """Read a run; damaged lines are left out.

    Raises:
        ConfigError: if there are no metrics.
    """
    folder = RunFolder(path)
    curves: Curves = read_curves(path, "frames", header(folder.metrics), is_strict=False)
    return Record(
        run=Run(folder, folder.read_config() or {}, curves),
        overview=read_overview(folder),
        generations=read_generations(folder.generations),
        genes=read_genes(folder.path / GENES),
        warnings=list(rows(folder.path / WARNINGS)),
        versions=_versions(folder.path / "versions.json"),
        command=_last_session(folder.path / "command.txt"),
    )


def read_generations(path: Path) -> List[Generation]:
    """Read the genetic events; none of a way of training without genes."""
    found = []
    for row in rows(path):
        cells = {name: _json(row.get(name, "")) for name in ("fitness", "replaced", "parents")}
        children = _json(row.get("child_ids", ""))
        if children is None or any(cell is None for cell in cells.values()):
            continue
        fitness = np.asarray(cells["fitness"], dtype=np.float64)
        errors = _json(row.get("standard_error", ""))
        is_known = errors is not None and len(errors) == len(fitness)
        found.append(
            Generation(
                number=int(number(row["generation"])),
                frames=number(row["frames"]),
                reason=row.get("reason", ""),
                fitness=fitness,
                standard_error=np.asarray(errors if is_known else np.full(len(fitness), math.nan)),
                replaced=cells["replaced"],
                parents=[tuple(pair) for pair in cells["parents"]],
                child_ids=children,
            )
        )
    return found


def read_genes(path: Path) -> Optional[GeneTable]:
    """Read the genes over time; None if there are none."""
    columns: Dict[str, List[Any]] = {"frames": [], "ids": [], "fitness": [], "genes": []}
    for row in rows(path):
        values = {name: _json(row.get(name, "")) for name in columns}
        if all(value is not None for value in values.values()):
            for name, value in values.items():
                columns[name].append(value)
    if not columns["genes"]:
        return None
    return GeneTable(*(np.asarray(columns[name], dtype=np.float64) for name in columns))


def settings(record: Record) -> List[Tuple[str, str]]:
    """List the resolved settings of a run by their dotted names."""
    return [(name, str(value)) for name, value in sorted(flat(record.run.settings).items())]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _versions(path: Path) -> Dict[str, str]:
    try:
        found = flat(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError):
        return {}
    return {name: str(value) for name, value in found.items() if value is not None}


def _last_session(path: Path) -> str:
    """Give the last paragraph of `command.txt`."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
    return text.rpartition("\n\n")[2]


def finite(values: Sequence[float]) -> List[float]:
    """Leave out what is not finite."""
    return [value for value in values if math.isfinite(value)]
