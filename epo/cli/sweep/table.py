"""`sweep.csv`: every run of a sweep, its overrides, its state and its last numbers."""

from __future__ import annotations

import csv
import io
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Sequence, Tuple

from epo.cli.past_runs import overview
from epo.cli.past_runs.overview import DIED, RUNNING
from epo.quoting import shell
from epo.record.files import write_text
from epo.redact import redact_words
from epo.runner.run_folder import RunFolder

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

NAME = "sweep.csv"
WAITING, FAILED, FINISHED = "waiting", "failed", "finished"
NUMBERS = ("iteration", "frames", "wall_s", "fps", "fitness", "episode_return", "success")
"""Columns of the last iteration; `overview.Overview` says what they are."""
COLUMNS: Tuple[str, ...] = ("run", "state", *NUMBERS, "overrides", "error")


class Table:
    """The table of a sweep. Its runs are processes: whoever changes a row holds a lock.

    Args:
        folder: of the sweep.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / NAME

    def rows(self) -> List[Dict[str, str]]:
        """Return the rows, column -> text; none before the first."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except OSError:
            return []
        return [dict(row) for row in csv.DictReader(io.StringIO(text))]

    def begin(self, names: Sequence[str], overrides: Sequence[Sequence[str]]) -> None:
        """List the runs of a sweep; what earlier ones of the folder left stays at the end.

        Raises:
            OSError: if the folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked():
            left = [row for row in self.rows() if row.get("run") not in names]
            rows: List[Dict[str, Any]] = [
                {"run": name, "overrides": shell(redact_words(lines))}
                for name, lines in zip(names, overrides)
            ]
            self._write([{**row, **self._look(row["run"])} for row in [*rows, *left]])

    def update(self, name: str, state: str = "", error: str = "") -> Dict[str, str]:
        """Bring the row of a run up to date and return it.

        Args:
            name: of the run.
            state: what it is known to be; empty: as its folder says.
            error: why it failed; empty: as its folder says.
        """
        with self._locked():
            rows = self.rows()
            for row in rows:
                if row["run"] == name:
                    row.update(self._look(name, state))
                    row["error"] = error or row["error"]
            self._write(rows)
        return next((row for row in rows if row["run"] == name), {})

    def refresh(self) -> List[Dict[str, str]]:
        """Bring rows up to date whose run ended without a word, and return all of them."""
        with self._locked():
            rows = self.rows()
            for row in rows:
                if row["state"] == RUNNING:
                    row.update(self._look(row["run"]))
            self._write(rows)
        return rows

    def _look(self, name: str, state: str = "") -> Dict[str, str]:
        """Read what a run's folder says; the lock of a running one is left alone if known."""
        folder = RunFolder(self.folder / name)
        if not folder.config.is_file():
            return {"state": state or WAITING, "error": ""}
        seen = overview.read(folder, state)
        numbers = {column: _text(getattr(seen, column)) for column in NUMBERS}
        return {"state": seen.state, **numbers, "error": seen.error}

    def _write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(COLUMNS), restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.path, text.getvalue())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep the other processes of the sweep out, where the file system has locks."""
        with open(self.folder / f".{NAME}.lock", "w") as file:
            if fcntl is not None:
                with suppress(OSError):
                    fcntl.flock(file, fcntl.LOCK_EX)
            yield


def unfinished(rows: Sequence[Mapping[str, str]]) -> List[Mapping[str, str]]:
    """Return the rows of runs that failed or died."""
    return [row for row in rows if row["state"] in (FAILED, DIED)]


def _text(value: float) -> str:
    return "" if value != value else f"{value:.6g}" if isinstance(value, float) else str(value)
