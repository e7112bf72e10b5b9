"""What is kept of finished runs beside the page: a study goes on where their folders are gone.

The folders of a thousand runs fill a disk and stay on the machine that made them. Of each run the
page needs a few numbers: they are a line of `runs.jsonl`, which belongs to the results.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, NamedTuple, Optional, Tuple

from epo.cli.study.outcome import Curve, Outcome
from epo.cli.study.runs import Run
from epo.config import Config, ConfigError
from epo.record.files import write_text

RUNS = "runs.jsonl"
NOT_COMPARED = ("run_dir", "resume", "seed")
"""Settings that say where a run is and which of its kind; the seed is a column of its own."""
VERSIONS = ("device", "cpu_cores_granted", "python", "torch", "simulators")
"""What is kept of the versions of a run."""
DIGITS = 7
"""Significant digits of the values of a curve."""


class Entry(NamedTuple):
    """A finished run.

    Attributes:
        settings: fingerprint of what it was run with.
        outcome: its numbers.
        versions: what is kept of its versions.json.
    """

    settings: str
    outcome: Outcome
    versions: Mapping[str, Any]


class Archive:
    """The finished runs of a study, by environment, arm and seed.

    Args:
        path: of the file, which may be absent.

    Raises:
        ConfigError: if it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries: Dict[Tuple[str, str, int], Entry] = {}
        if path.exists():
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                self.add(_parse(path, number, line))

    def find(self, run: Run) -> Optional[Entry]:
        """Return what is kept of a run, if it was run with the same settings."""
        entry = self._entries.get((run.environment, run.arm, run.seed))
        return entry if entry and entry.settings == fingerprint(run.cfg) else None

    def add(self, entry: Entry) -> Entry:
        """Take a run in, instead of an earlier one of its name, and return it as it is kept."""
        found = entry.outcome
        kept = _entry(_line(entry))  # rounded: a page must not depend on where it was read
        self._entries[(found.environment, found.arm, found.seed)] = kept
        return kept

    def write(self) -> None:
        """Write the file; runs of arms that the study no longer has stay in it."""
        lines = [json.dumps(_line(self._entries[key])) for key in sorted(self._entries)]
        write_text(self.path, "".join(f"{line}\n" for line in lines))


def fingerprint(cfg: Config) -> str:
    """Name the settings of a run that are not their defaults, short.

    A setting that a later version adds changes no name as long as it has its default.
    """
    named = dict(_changed(cfg))
    for name in NOT_COMPARED:
        named.pop(name, None)
    text = json.dumps(named, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _changed(group: Any, prefix: str = "") -> Iterator[Tuple[str, Any]]:
    """Walk through the settings that differ from what their class says."""
    for field in dataclasses.fields(group):
        value, name = getattr(group, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            yield from _changed(value, f"{name}.")
            continue
        has_factory = field.default_factory is not dataclasses.MISSING
        default = field.default_factory() if has_factory else field.default  # type: ignore[misc]
        if value != default:
            yield name, value


def _parse(path: Path, number: int, line: str) -> Entry:
    try:
        return _entry(json.loads(line))
    except (ValueError, KeyError, TypeError) as error:
        way_out = f"line {number} is damaged ({error!r}); restore it, or delete the line"
        raise ConfigError("results", path, way_out) from error


def _line(entry: Entry) -> Dict[str, Any]:
    row = entry.outcome._asdict()
    curve: Curve = row.pop("curve")
    columns = {name: [_rounded(x) for x in column] for name, column in curve._asdict().items()}
    return {
        "settings": entry.settings,
        **{name: _rounded(value) for name, value in row.items()},
        "curve": columns,
        "versions": dict(entry.versions),
    }


def _entry(line: Mapping[str, Any]) -> Entry:
    values = dict(line)
    settings, versions = str(values.pop("settings")), values.pop("versions")
    curve = Curve(**values.pop("curve"))
    return Entry(settings, Outcome(curve=curve, **values), versions)


def _rounded(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
