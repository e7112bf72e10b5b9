"""Exceptions as text: in one line for the terminal, whole in a file, without secrets."""

from __future__ import annotations

import os
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Optional

from epo.redact import redact


def one_line(error: BaseException) -> str:
    """Return an exception in one line; those of our own speak for themselves."""
    text = " ".join(str(error).split())
    return text if type(error).__module__.startswith("epo.") else f"{type(error).__name__}: {text}"


def traceback_text(error: BaseException) -> str:
    """Return the traceback as Python prints it."""
    return redact("".join(traceback.format_exception(type(error), error, error.__traceback__)))


def keep_traceback(error: BaseException) -> Optional[Path]:
    """Write the traceback to a new file in the folder for temporary files; None: no room."""
    with suppress(OSError):
        descriptor, path = tempfile.mkstemp(prefix="epo-traceback-", suffix=".txt")
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(traceback_text(error))
        return Path(path)
    return None


def wants_tracebacks() -> bool:
    """Return whether HYDRA_FULL_ERROR=1 asks for tracebacks on the terminal."""
    return os.environ.get("HYDRA_FULL_ERROR") == "1"
