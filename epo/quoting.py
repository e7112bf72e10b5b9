"""Text that goes into another grammar: Hydra's overrides, and the shell around them.

Every command that is printed for someone to type goes through here.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any, Iterable

_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./-]*\Z")
_WORDS = {"null", "none", "true", "false", "nan", "inf"}
"""What Hydra reads as something else than text."""


def assignment(name: str, value: Any) -> str:
    """Write `name=value` as Hydra reads it; texts are quoted where its grammar needs it."""
    return f"{name}={literal(value) if isinstance(value, (str, Path)) else str(value)}"


def literal(text: Any) -> str:
    """Write a text as Hydra reads it, whatever is in it; plain words stay plain."""
    text = str(text)
    if _PLAIN.match(text) and text.lower() not in _WORDS:
        return text
    # What would refer to another setting is escaped, then what would end the quotes.
    text = re.sub(r"(\\*)\$\{", lambda found: found[1] * 2 + r"\${", text)
    return f'"{_escaped(text, chr(34))}"'


def quoted(text: str) -> str:
    """Write a text in single quotes as Hydra reads it; `${name}` in it stays a reference."""
    return f"'{_escaped(text, chr(39))}'"


def unquoted(text: str) -> str:
    """Read a text as Hydra would: quotes around it, and their escapes, are not part of it."""
    if len(text) < 2 or text[0] != text[-1] or text[0] not in "\"'":
        return text
    inner, quote = text[1:-1], text[0]
    inner = re.sub(rf"(\\+)({quote}|\Z)", lambda m: m[1][: len(m[1]) // 2] + m[2], inner)
    return re.sub(r"(\\+)\$\{", lambda m: m[1][: len(m[1]) // 2] + "${", inner)


def shell(words: Iterable[str]) -> str:
    """Write a command so that a POSIX shell gives these words to it."""
    return " ".join(shlex.quote(word) for word in words)


def python() -> str:
    """Name the interpreter as the user can type it here."""
    return short_path(sys.executable)


def short_path(path: Any) -> str:
    """Name a path from the current folder if it lies below, else in full."""
    relative = os.path.relpath(str(path))
    return str(path) if relative.split(os.sep)[0] == os.pardir else relative


def _escaped(text: str, quote: str) -> str:
    """Escape quotes; a backslash before one, or at the end, is read as an escape."""
    found = re.compile(rf"(\\*)({quote}|\Z)")
    return found.sub(lambda m: m[1] * 2 + (f"\\{quote}" if m[2] else ""), text)
