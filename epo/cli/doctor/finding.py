"""One line of the doctor's table."""

from __future__ import annotations

from typing import Callable, Iterable, List, NamedTuple

OK, OFF, BAD = "ok", "off", "bad"
"""It works; it is not there and only some runs need it; it keeps a run from being well."""
Check = Callable[[], "Finding"]


class Finding(NamedTuple):
    """What was found of one thing.

    Attributes:
        name: the thing.
        state: one of `OK`, `OFF`, `BAD`.
        found: what is there.
        fix: what to type or change; empty where nothing has to be done.
    """

    name: str
    state: str
    found: str
    fix: str = ""


def examine(checks: Iterable[Check]) -> List[Finding]:
    """Run the checks; one that fails itself is a finding, and the others still run."""
    return [_examine(check) for check in checks]


def _examine(check: Check) -> Finding:
    try:
        return check()
    except Exception as error:  # a broken installation may raise anything
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        fix = "the check itself failed; report it with the output of json=true"
        return Finding(check.__name__.replace("_", " "), BAD, reason, fix)
