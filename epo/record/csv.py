"""Tables of a run: `metrics.csv` (one row per iteration), `generations.csv` (per generation).

`warnings.csv` is written by `health`.
"""

from __future__ import annotations

import csv
import io
import json
from contextlib import suppress
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    TextIO,
)

from epo.config import ConfigError
from epo.record.files import atomic_write

METRICS = "metrics.csv"
GENERATIONS = "generations.csv"
WARNINGS = "warnings.csv"
METRIC_COLUMNS = [
    "iteration",
    "frames",
    "wall_s",
    "fps",
    "sim_s",
    "learn_s",
    "leader/fitness",
    "leader/episode_return",
    "leader/successes",
    "population/fitness_mean",
    "population/fitness_best",
    "population/gene_distance",
    "success_tolerance",
    "lr",
    "kl",
    "entropy",
]
GENERATION_COLUMNS = ["iteration", "frames", "replaced", "parents", "operator", "fitness"]


class CsvTable:
    """A table that only grows: rows at its end, columns when a row brings new ones.

    `columns` come first and always, all others sorted behind them, so the header does not
    depend on when a column appeared. Every row is handed to the system at once: it survives
    kill -9. A torn last line, left by a killed process, is dropped when the table is opened.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self._first = list(columns)
        self._columns: List[str] = []
        self._file: Optional[TextIO] = None

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row; missing cells stay empty.

        Raises:
            ConfigError: if the disk is full or the folder has become read-only.
        """
        try:
            if self._file is None or not self._known.issuperset(row):
                self._reopen(row)
            cells = [cell(row[name]) if name in row else "" for name in self._columns]
            self._writer.writerow(cells)
            assert self._file is not None
            self._file.flush()
        except OSError as error:
            with suppress(OSError):  # closing tries to write the rest once more
                self.close()
            self._file = None
            raise ConfigError(
                "run_dir",
                self.path.parent,
                f"cannot write {self.path.name} ({error.strerror}); make room there, then "
                f"continue with resume={self.path.parent}",
            ) from error

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _reopen(self, row: Iterable[str]) -> None:
        """Open the file for appending, with a header that covers `row`."""
        self.close()
        old = header(self.path)
        extra = {*old, *row}.difference(self._first)
        self._columns = [*self._first, *sorted(extra)]
        self._known = set(self._columns)
        _rewrite(self.path, self._columns, lambda _: True)
        self._file = open(self.path, "a", newline="", encoding="utf-8")  # noqa: SIM115
        self._writer = csv.writer(self._file, lineterminator="\n")


class MetricsCsv(CsvTable):
    """Sink that writes `metrics.csv`."""

    def __init__(self, run_dir: Path) -> None:
        super().__init__(run_dir / METRICS, METRIC_COLUMNS)

    def write(self, frames: int, metrics: Mapping[str, float]) -> None:
        """Append the row of one iteration."""
        self.append(metrics)

    def generation(self, row: Mapping[str, Any]) -> None:
        """Do nothing: generations have their own table."""


class GenerationsCsv(CsvTable):
    """Sink that writes `generations.csv`; lists are JSON text in one cell."""

    def __init__(self, run_dir: Path) -> None:
        super().__init__(run_dir / GENERATIONS, GENERATION_COLUMNS)

    def write(self, frames: int, metrics: Mapping[str, float]) -> None:
        """Do nothing: iterations have their own table."""

    def generation(self, row: Mapping[str, Any]) -> None:
        """Append the row of one generation."""
        self.append(row)


def truncate(run_dir: Path, iteration: int) -> None:
    """Drop what was recorded after `iteration`, and torn lines, before a run is resumed."""
    for name in (METRICS, GENERATIONS, WARNINGS):
        path = run_dir / name
        columns = header(path)
        if columns:
            _rewrite(path, columns, lambda row: _iteration(row) <= iteration)
        elif path.exists():
            path.unlink()


def header(path: Path) -> List[str]:
    """Give the columns of a table; none if there is no file or no complete line."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return next(csv.reader(_complete_lines(file)), [])


def rows(path: Path) -> Iterator[Dict[str, str]]:
    """Give the complete rows of a table, cells as text, without loading all of them."""
    if not path.exists():
        return
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.reader(_complete_lines(file))
        columns = next(reader, [])
        for cells in reader:
            if len(cells) == len(columns):
                yield dict(zip(columns, cells))


def cell(value: Any) -> str:
    """Write a value as text: floats with 9 digits (exact for float32), lists as JSON."""
    if isinstance(value, float):
        return format(value, ".9g")
    if isinstance(value, (list, tuple)):
        return json.dumps(value)
    return str(value)


def _rewrite(path: Path, columns: Sequence[str], keep: Callable[[Dict[str, str]], bool]) -> None:
    """Write the table anew with this header and the complete rows that `keep` accepts."""
    with atomic_write(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for row in rows(path) if keep(row))
        text.flush()
        text.detach()  # the file below belongs to atomic_write


def _complete_lines(file: TextIO) -> Iterator[str]:
    return (line for line in file if line.endswith("\n"))


def _iteration(row: Mapping[str, str]) -> float:
    try:
        return int(row["iteration"])
    except (KeyError, ValueError):  # damaged by a lost power supply: not to be kept
        return float("inf")
