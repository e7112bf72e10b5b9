"""Errors that name the setting, its value and the way out."""

from __future__ import annotations

import difflib
from typing import Any, Iterable, NoReturn


def check_choice(setting: str, value: str, choices: Iterable[str]) -> None:
    """Refuse a `value` outside `choices` and name the nearest one.

    Raises:
        ValueError: if it is outside.
    """
    choices = list(choices)
    if value not in choices:
        near = difflib.get_close_matches(value, choices, n=1, cutoff=0.0)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"{setting}={value!r} is unknown: {hint}Choices: {', '.join(choices)}")


def refuse(setting: str, value: Any, way_out: str) -> NoReturn:
    """Refuse a value that cannot work.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{setting}={value} is impossible: {way_out}")


def describe(error: BaseException, limit: int = 300) -> str:
    """Return the type and message of an exception of foreign code in one line.

    Args:
        error: its message may span lines, be endless, or fail itself.
        limit: length from which it is cut, characters.
    """
    try:
        message = " ".join(str(error).split())
    except Exception as failure:
        message = f"its message raises {type(failure).__name__}"
    name = type(error).__name__
    line = f"{name}: {message}" if message else name
    return line if len(line) <= limit else f"{line[: limit - 3]}..."
