"""Which runs a sweep has, what they are called, and which folder is theirs."""

from __future__ import annotations

import hashlib
import itertools
import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from epo.config import ConfigError
from epo.config.resume import FREE, rule

ROOT = Path("runs") / "sweep"
FOLDER = "hydra.sweep.dir"
"""Setting that names the folder of a sweep."""
OWN = {
    "run_dir": f"a sweep gives every run its own folder; {FOLDER}=<folder> names that of all",
    "resume": "a sweep that is started again goes on by itself; another one: "
    f"{FOLDER}=<new folder>",
}
"""Settings that a sweep decides by itself -> what to do instead."""
LONGEST = 100
"""Letters of the name of a run."""


class Plan(NamedTuple):
    """A sweep.

    Attributes:
        folder: of the sweep.
        names: of the runs, their folders in it, in Hydra's order.
        overrides: of every run.
        hydra: what the command line says about Hydra itself, name -> value.
    """

    folder: Path
    names: List[str]
    overrides: List[List[str]]
    hydra: Dict[str, str]


def make(arguments: Sequence[str]) -> Plan:
    """Read the command line of a sweep; it has been checked.

    The folder is the same for the same runs: limits and other settings that a resumed run may
    change do not count.

    Raises:
        ConfigError: if a setting belongs to the sweep.
    """
    lines = [argument for argument in arguments if not argument.startswith("-")]
    parsed = OverridesParser.create().parse_overrides(lines)
    hydra = {}
    values: Dict[str, List[str]] = {}  # the last one counts, in the place of the first
    swept = set()
    for override in parsed:
        key, text = override.get_key_element(), str(override.input_line).partition("=")[2]
        if key.lstrip("+~").startswith("hydra"):
            hydra[key.lstrip("+~")] = text
            continue
        if key in OWN:
            raise ConfigError(key, text, OWN[key])
        values[key] = _values(override)
        swept = {*swept, key} if override.is_sweep_override() else swept - {key}
    runs = [list(lines) for lines in itertools.product(*values.values())]
    names = _unique([_name(lines, swept) for lines in runs])
    folder = Path(hydra[FOLDER]) if FOLDER in hydra else ROOT / _title(values, swept)
    return Plan(folder, names, runs, hydra)


def _values(override: Override) -> List[str]:
    """Return `name=value` for every value, as Hydra's basic sweeper does."""
    key = override.get_key_element()
    if override.is_discrete_sweep():
        return [f"{key}={value}" for value in override.sweep_string_iterator()]
    return [f"{key}={override.get_value_element_as_str()}"]


def _name(lines: Sequence[str], swept: set) -> str:
    """Name a run by the values that the sweep varies."""
    words = []
    for line in lines:
        key, _, value = line.partition("=")
        if key in swept:
            words.append(_plain(f"{key.rpartition('.')[2]}-{value}"))
    return "_".join(words)[:LONGEST] or "run"


def _title(values: Dict[str, List[str]], swept: set) -> str:
    """Name a sweep by what it varies, and by all that makes its runs what they are."""
    fixed = [f"{key}: {lines}" for key, lines in values.items() if not _is_free(key)]
    digest = hashlib.sha256("\n".join(fixed).encode()).hexdigest()[:8]
    words = [_plain(key.rpartition(".")[2]) for key in values if key in swept]
    return "_".join([*words, digest])[-LONGEST:]


def _is_free(key: str) -> bool:
    try:
        return rule(key) == FREE
    except KeyError:  # a group, such as `experiment`
        return False


def _plain(text: str) -> str:
    """Leave out what a shell or Hydra's grammar would read as something else."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", text.replace("+", "")).strip("-.")


def _unique(names: Sequence[str]) -> List[str]:
    """Number the names that occur more than once."""
    counts: Dict[str, int] = {}
    found = []
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        found.append(name if counts[name] == 1 else f"{name}.{counts[name]}")
    return found
