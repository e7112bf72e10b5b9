"""The one form in which every bench says its numbers to programs: a line of JSON."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Sequence

from epo.cli.bench.report import Row, print_json
from epo.config import ConfigError
from epo.cores import granted_cores

SCHEMA = 1
"""Version of the form; a change of meaning makes a new one."""
NO_MEASURE = ("ratio",)
"""Quantities with a range that compare rows of one call with each other."""


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


LOAD = _load()
"""Processes that waited for a core when the bench began, mean of a minute."""


def print_result(
    bench: str,
    device: str,
    settings: Sequence[str],
    keys: Sequence[str],
    rows: Sequence[Row],
    simulators: Mapping[str, str] = {},
    **more: Any,
) -> None:
    """Print what a bench measured under one choice of settings.

    A quantity `q` of a row whose `q_min` and `q_max` stand beside it is a rate, the more the
    better: median, least and greatest of repetitions.

    Args:
        bench: its name.
        device: torch device.
        settings: of the command line.
        keys: entries of a row that tell it from the others.
        rows: the numbers.
        simulators: packages and their versions.
        more: what else all rows share.
    """
    from epo.runner import provenance  # imports torch

    git = provenance.git_commit()
    print_json(
        schema=SCHEMA,
        bench=bench,
        time=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        commit=None if git is None else git.commit,
        is_changed=None if git is None else git.is_changed,
        device=device,
        device_name=provenance.device_name(device),
        cores=granted_cores(),
        load=LOAD if LOAD == LOAD else None,
        versions=provenance.versions(device, simulators),
        **more,
        settings=list(settings),
        keys=list(keys),
        rows=list(rows),
    )


class Measure(NamedTuple):
    """A rate: median, least and greatest of its repetitions, 1/s."""

    median: float
    low: float
    high: float


class Key(NamedTuple):
    """What tells a measured quantity from all others."""

    bench: str
    settings: str
    row: str
    quantity: str


def read(path: Path) -> List[Dict[str, Any]]:
    """Read the results in a file; whatever else a bench printed there is left out.

    Raises:
        ConfigError: if there is no such file, it holds no result, or one of a newer epo.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        way_out = f"cannot be read ({error.strerror}); keep a bench's output: bench sim > {path}"
        raise ConfigError("results", path, way_out) from error
    found = list(_results(lines))
    for result in found:
        if result["schema"] > SCHEMA:
            way_out = f"schema {result['schema']} is of a newer epo, this one reads {SCHEMA}"
            raise ConfigError("results", path, way_out)
    if not found:
        way_out = "holds no line of JSON that a bench of this version printed; measure again"
        raise ConfigError("results", path, way_out)
    return found


def measures(results: Sequence[Mapping[str, Any]]) -> Dict[Key, Measure]:
    """Return every rate in some results.

    What was measured several times counts once: the median of the medians, the whole range.
    """
    found: Dict[Key, List[Measure]] = {}
    for result in results:
        settings = " ".join(sorted(result["settings"]))
        for row in result["rows"]:
            name = " ".join(f"{key}={row.get(key)}" for key in result["keys"])
            for quantity in _rates(row):
                value = Measure(row[quantity], row[f"{quantity}_min"], row[f"{quantity}_max"])
                key = Key(result["bench"], settings, name, quantity)
                found.setdefault(key, []).append(value)
    return {key: _merged(values) for key, values in found.items()}


def _results(lines: Sequence[str]) -> Iterator[Dict[str, Any]]:
    for line in lines:
        if not line.startswith("{"):
            continue
        try:
            content = json.loads(line)
        except ValueError:
            continue
        needed = {"schema", "bench", "settings", "keys", "rows"}
        if isinstance(content, dict) and needed <= set(content):
            yield content


def _rates(row: Mapping[str, Any]) -> List[str]:
    return [
        name
        for name, value in row.items()
        if isinstance(value, (int, float))
        and name not in NO_MEASURE
        and {f"{name}_min", f"{name}_max"} <= set(row)
    ]


def _merged(values: Sequence[Measure]) -> Measure:
    medians = sorted(value.median for value in values)
    middle = len(medians) // 2
    median = (medians[middle] + medians[-middle - 1]) / 2
    return Measure(median, min(v.low for v in values), max(v.high for v in values))
