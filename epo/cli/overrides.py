"""A saved configuration as overrides of a command line, and overrides on top of it."""

from __future__ import annotations

from typing import Any, List, Mapping, Sequence, Set

from epo.dotted import flat
from epo.quoting import quoted

GROUPS = ("task", "engine", "algo")
"""Groups of `cfg/` whose option is the `name` inside them."""


def overrides(settings: Mapping[str, Any]) -> List[str]:
    """Write a resolved configuration as overrides that compose it again.

    Args:
        settings: nested plain values, such as the content of a run's `config.yaml`.
    """
    lines: List[str] = []
    for name, value in settings.items():
        if name in GROUPS:
            lines.append(f"{name}={value['name']}")
        lines += [f"{key}={_text(item)}" for key, item in flat({name: value}).items()]
    return lines


def merge(saved: Sequence[str], given: Sequence[str]) -> List[str]:
    """Return the overrides of `saved` that `given` leaves as they are, and all of `given`.

    Choosing another option of a group drops everything that was saved inside the group.
    """
    names = {line.partition("=")[0] for line in given}
    kept = (line for line in saved if not _is_replaced(line.partition("=")[0], names))
    return [*kept, *given]


def _is_replaced(name: str, names: Set[str]) -> bool:
    return name in names or name.partition(".")[0] in names.intersection(GROUPS)


def _text(value: Any) -> str:
    """Write a value in the grammar of overrides."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{','.join(_text(item) for item in value)}]"
    return quoted(value) if isinstance(value, str) else str(value)
