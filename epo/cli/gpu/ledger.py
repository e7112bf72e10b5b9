"""What was measured so far: one JSON file, so that a step continues where an earlier call ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

from epo.cli.gpu.plan import Job, Step
from epo.config import ConfigError
from epo.record.files import write_text

RESULTS = "results.json"
DONE, FAILED, LATE = "done", "failed", "out of time"
"""How a job ended; all but `DONE` are tried again."""


class Ledger:
    """Results by `<step>/<job>`, written after every job.

    Args:
        folder: of the results.

    Raises:
        ConfigError: if what is there is no such file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / RESULTS
        self._entries: Dict[str, Dict[str, Any]] = {}
        if self._path.exists():
            try:
                self._entries = dict(json.loads(self._path.read_text(encoding="utf-8")))
            except ValueError as error:
                way_out = "is damaged; remove it, or choose another results="
                raise ConfigError("results", self._path, way_out) from error

    def is_done(self, step: Step, job: Job) -> bool:
        """Return whether a job has nothing left to do."""
        return not job.is_endless and self.entry(step.name, job.name).get("state") == DONE

    def entry(self, step: str, job: str) -> Dict[str, Any]:
        """Return what is known of a job (`state`, `seconds`, ...); nothing if it never ran."""
        return self._entries.get(f"{step}/{job}", {})

    def entries(self, step: str) -> Dict[str, Dict[str, Any]]:
        """Return what is known of all jobs of a step, by name."""
        prefix = f"{step}/"
        found = {k: v for k, v in self._entries.items() if k.startswith(prefix)}
        return {name[len(prefix) :]: entry for name, entry in found.items()}

    def rows(self, step: str) -> List[Dict[str, Any]]:
        """Return all numbers of a step; each row says which `job` it is of."""
        return [
            {"job": name, **row}
            for name, entry in self.entries(step).items()
            for row in entry.get("rows", [])
        ]

    def write(self, step: str, job: str, entry: Dict[str, Any]) -> None:
        """Remember how a job ended.

        Raises:
            ConfigError: if the folder cannot be written.
        """
        self._entries[f"{step}/{job}"] = entry
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_text(self._path, json.dumps(self._entries, indent=1) + "\n")
        except OSError as error:
            way_out = f"cannot be written ({error.strerror}); choose another results="
            raise ConfigError("results", self.folder, way_out) from error
