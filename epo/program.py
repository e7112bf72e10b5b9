"""How this process was started, so that what is printed for somebody to type can be typed."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, NamedTuple, Sequence, Tuple

from epo.quoting import python

COMMAND = "epo"
"""The command that an installed package brings."""
MODULE = ("-m", "epo", "train")


class Start(NamedTuple):
    """How training was started.

    Attributes:
        words: what to type before the settings.
        settings: as they were given.
    """

    words: Tuple[str, ...]
    settings: Tuple[str, ...]


_by_library: List[Start] = []


def started() -> Start:
    """Return how this process was asked to train: by train.py, `epo train` or the library."""
    if _by_library:
        return _by_library[-1]
    # The setting `search_path` says the same.
    settings = [word for word in sys.argv[1:] if not word.startswith("hydra.searchpath=")]
    if settings[:1] == ["train"] and not _is_script():
        settings = settings[1:]
    if _is_script():
        words: Tuple[str, ...] = (python(), sys.argv[0])
    else:
        words = (COMMAND, "train") if _is_command() else (python(), *MODULE)
    return Start(words, tuple(settings))


def absolute() -> List[str]:
    """Return the words of `started` that work from any folder."""
    if _by_library or not _is_script():
        return [sys.executable, *MODULE]
    script = Path(sys.argv[0])
    return [sys.executable, str(script.resolve() if script.exists() else script)]


def verbs() -> List[str]:
    """Return what to type before a verb."""
    return [COMMAND] if _is_command() else [python(), "-m", "epo"]


def as_typed(text: str) -> str:
    """Return text whose commands are those to type here: an installed package brings `epo`."""
    return text.replace("python -m epo", COMMAND) if _is_command() else text


def training(root: Path) -> List[str]:
    """Return the words of a process that trains: train.py of a checkout, or the module.

    Args:
        root: of the checkout, if there is one.
    """
    script = root / "train.py"
    return [sys.executable, str(script)] if script.is_file() else [sys.executable, *MODULE]


@contextmanager
def started_with(settings: Sequence[str]) -> Iterator[None]:
    """Say that a call of the library trains with these settings."""
    _by_library.append(Start((python(), *MODULE), tuple(settings)))
    try:
        yield
    finally:
        _by_library.pop()


def _is_command() -> bool:
    return Path(sys.argv[0]).stem == COMMAND


def _is_script() -> bool:
    """Tell whether a script of its own runs, such as train.py."""
    path = Path(sys.argv[0])
    return not (_is_command() or (path.name == "__main__.py" and path.parent.name == COMMAND))
