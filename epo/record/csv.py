"""Tables of a run: `metrics.csv` (one row per iteration), `generations.csv` (per generation).

`genes.csv` holds the genes now and then; `warnings.csv` is written by `health`.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import (
    Any,
    Callable,
    Deque,
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
from epo.record.files import atomic_write, set_aside
from epo.terminal import say

METRICS = "metrics.csv"
GENERATIONS = "generations.csv"
GENES = "genes.csv"
WARNINGS = "warnings.csv"
TABLES = (METRICS, GENERATIONS, GENES, WARNINGS)
"""All tables of a run; each has a column `iteration`."""
METRIC_COLUMNS = [
    "iteration",
    "frames",
    "wall_s",
    "fps",
    "sim_s",
    "learn_s",
    "leader/fitness",
    "leader/episode_return",
    "population/fitness_mean",
    "population/fitness_best",
    "population/gene_distance",
    "lr",
    "kl",
    "entropy",
]
MAX_WAITING = 20_000
"""Rows that wait for a full disk, at most: some 150 MB. Then the oldest are lost."""
TAIL_BYTES = 256 * 1024
"""End of a table that holds its last row, whatever its columns."""
GENERATION_COLUMNS = ["iteration", "frames", "replaced", "parents", "operator", "fitness"]
GENE_COLUMNS = ["iteration", "frames", "generation", "ids", "fitness", "genes"]


class CsvTable:
    """A table that only grows: rows at its end, columns when a row brings new ones.

    `columns` come first and always, all others sorted behind them, so the header does not
    depend on when a column appeared. Every row is handed to the system at once: it survives
    kill -9. A torn last line, left by a killed process, is dropped when the table is opened.

    Rows that cannot be written, for example on a full disk, wait in memory and are written, in
    their order, as soon as they can be.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self._first = list(columns)
        self._columns: List[str] = []
        self._file: Optional[TextIO] = None
        self._end = 0
        self._waiting: Deque[Mapping[str, Any]] = deque(maxlen=MAX_WAITING)
        self._is_said = False

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row and those that wait; missing cells stay empty."""
        self._waiting.append(row)
        try:
            while self._waiting:
                self._write(self._waiting[0])
                self._waiting.popleft()
        except OSError as error:
            self._give_up(error)
        else:
            if self._is_said:
                say(f"{self.path.name} is complete again", is_error=True)
                self._is_said = False

    def close(self) -> None:
        """Try once more to write what waits, and close the file."""
        if self._waiting:
            self.append(self._waiting.pop())
        if self._waiting:
            lost = f"warning: {len(self._waiting)} rows of {self.path} were never written"
            say(lost, is_error=True)
        self._close_file()

    def _write(self, row: Mapping[str, Any]) -> None:
        if self._file is None or not self._known.issuperset(row):
            self._reopen(row)
        assert self._file is not None
        cells = [cell(row[name]) if name in row else "" for name in self._columns]
        self._writer.writerow(cells)
        self._file.flush()
        self._end = self._file.tell()

    def _give_up(self, error: OSError) -> None:
        """Close the file without half a row; the next row tries to open it again."""
        if not self._is_said:
            self._is_said = True
            text = f"cannot write {self.path} ({error.strerror}); training continues, the rows wait"
            say(f"warning: {text}", is_error=True)
        if self._file is not None:
            with suppress(OSError):  # closing tries to write the rest once more
                self._close_file()
            with suppress(OSError):
                os.truncate(str(self.path), self._end)
        self._file = None

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _reopen(self, row: Iterable[str]) -> None:
        """Open the file for appending, with a header that covers `row`."""
        self._close_file()
        old = header(self.path)
        extra = {*old, *row}.difference(self._first)
        self._columns = [*self._first, *sorted(extra)]
        self._known = set(self._columns)
        # A table that is complete stays as it is: a second one may not fit on the disk.
        if old != self._columns or not _ends_with_line(self.path):
            _rewrite(self.path, self._columns, lambda _: True)
        self._file = open(self.path, "a", newline="", encoding="utf-8")  # noqa: SIM115
        self._end = os.path.getsize(str(self.path))
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
    """Sink that writes `generations.csv`, its header at once; lists are JSON text in one cell."""

    def __init__(self, run_dir: Path) -> None:
        super().__init__(run_dir / GENERATIONS, GENERATION_COLUMNS)
        with suppress(OSError):  # a full disk is said with the first row
            self._reopen(())

    def write(self, frames: int, metrics: Mapping[str, float]) -> None:
        """Do nothing: iterations have their own table."""

    def generation(self, row: Mapping[str, Any]) -> None:
        """Append the row of one generation."""
        self.append(row)


class GenesCsv(CsvTable):
    """Table `genes.csv`: the genes whenever the population is judged, K lists of G numbers."""

    def __init__(self, run_dir: Path) -> None:
        super().__init__(run_dir / GENES, GENE_COLUMNS)


def truncate(run_dir: Path, iteration: int) -> List[str]:
    """Drop what was recorded after `iteration`, and damaged lines, before a run is resumed.

    Returns:
        What the user should know: tables that were set aside, rows that are missing.

    Raises:
        ConfigError: if the folder cannot be written.
    """
    try:
        return [line for name in TABLES for line in _truncate(run_dir / name, iteration)]
    except OSError as error:
        way_out = f"cannot be written ({error}); choose another run_dir"
        raise ConfigError("run_dir", run_dir, way_out) from error


def _truncate(path: Path, iteration: int) -> List[str]:
    found: List[str] = []
    columns = header(path)
    if "iteration" in columns:
        _rewrite(path, columns, lambda row: _iteration(row) <= iteration)
    elif path.is_file() and b"\n" not in path.read_bytes():  # not even a whole header
        path.unlink()
    elif path.exists():
        found.append(f"{path} is damaged; it is set aside as {set_aside(path).name}")
    if path.name == METRICS and iteration > 0:
        present = {int(row["iteration"]) for row in rows(path)}
        missing = iteration - len(present)
        if missing > 0:
            found.append(
                f"{missing} of {iteration} rows are missing in {path} (damaged, or lost with the "
                f"power); the last one is of iteration {max(present, default=0)}"
            )
    return found


def header(path: Path) -> List[str]:
    """Return the columns of a table; none if there is no file or no sound first line."""
    return next(_cells(path), [])


def rows(path: Path) -> Iterator[Dict[str, str]]:
    """Return the sound rows of a table, cells as text, without loading all of them.

    Torn lines, bytes that are not UTF-8 and lines of another length are left out.
    """
    table = _cells(path)
    columns = next(table, [])
    for cells in table:
        if columns and len(cells) == len(columns):
            yield dict(zip(columns, cells))


def last_row(path: Path) -> Dict[str, str]:
    """Return the last sound row of a table, whose end alone is read; empty without one."""
    columns = header(path)
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return {}
    lines = text.split("\n")[1:-1]  # without the header, or half a line, and a torn last one
    for cells in csv.reader(reversed(lines)):
        is_text = "\ufffd" not in "".join(cells)  # what stands for bytes that are not UTF-8
        if columns and is_text and len(cells) == len(columns):
            return dict(zip(columns, cells))
    return {}


def number(text: str) -> float:
    """Read a cell; NaN if it is empty or no number."""
    return float(text) if is_number(text) else math.nan


def is_number(text: str) -> bool:
    """Return whether a cell holds a number, NaN and infinity included."""
    try:
        float(text)
    except ValueError:
        return False
    return True


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


def _cells(path: Path) -> Iterator[List[str]]:
    """Return the cells of every line; none of a line that is damaged."""
    if not path.is_file():
        return
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            # Every line by itself: a stray quote must not swallow those that follow.
            is_sound = line.endswith("\n") and "\0" not in line and not _UNDECODED.search(line)
            try:
                yield next(csv.reader([line], strict=True), []) if is_sound else []
            except csv.Error:
                yield []


def _ends_with_line(path: Path) -> bool:
    """Return whether the last line of a file that is there and not empty is complete."""
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _iteration(row: Mapping[str, str]) -> float:
    try:
        return int(row["iteration"])
    except ValueError:  # damaged: not to be kept
        return math.inf


_UNDECODED = re.compile("[\udc80-\udcff]")
"""Bytes that are not UTF-8, as `surrogateescape` shows them."""
