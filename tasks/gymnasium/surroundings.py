"""What a process has only once, such as its working directory, while foreign code runs in it.

Foreign code may change it for itself. It finds its changes again at its next call; the rest of the
process never sees them.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from typing import Any, Callable, Dict, Iterator, NamedTuple, Optional

import numpy as np

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Signals that end a run in an orderly way."""


class _Part(NamedTuple):
    """How to read and write one part.

    Attributes:
        is_kept: foreign code finds the value that it set; else ours holds there as well.
        initial: value in a process that has not changed it; None: unknown.
    """

    read: Callable[[], Any]
    write: Callable[[Any], Any]
    is_kept: bool = True
    initial: Any = None


_theirs: Dict[str, Any] = {}
"""Part -> what foreign code has changed it to."""


@contextmanager
def foreign(is_step: bool = False) -> Iterator[None]:
    """Restore the surroundings of foreign code while it runs, and ours afterwards.

    Args:
        is_step: leave out the handlers of signals, which take longer to read than many steps.
    """
    parts = _parts()
    left_out = "signals" if is_step else ""
    ours = {name: part.read() for name, part in parts.items() if name != left_out}
    for name in _theirs:
        parts[name].write(_theirs[name])
    try:
        yield
    finally:
        _theirs.clear()
        for name, part in _parts().items():  # with torch's, if it was imported just now
            if name == left_out:
                continue
            now, before = part.read(), ours.get(name, part.initial)
            if now != before and before is not None:
                part.write(before)
                if part.is_kept:
                    _theirs[name] = now


def _parts() -> Dict[str, _Part]:
    torch: Any = sys.modules.get("torch")
    if torch is None or "gradients" in _PARTS or not hasattr(torch, "set_num_threads"):
        return _PARTS
    _PARTS["default dtype"] = _Part(
        torch.get_default_dtype, torch.set_default_dtype, initial=torch.float32
    )
    _PARTS["gradients"] = _Part(torch.is_grad_enabled, torch.set_grad_enabled, initial=True)
    _PARTS["threads"] = _Part(torch.get_num_threads, torch.set_num_threads)
    return _PARTS


def _directory() -> Optional[str]:
    with suppress(OSError):  # it was deleted
        return os.getcwd()
    return None


def _enter(directory: str) -> None:
    with suppress(OSError):
        os.chdir(directory)


def _handlers() -> Dict[int, Any]:
    return {number: signal.getsignal(number) for number in SIGNALS}


def _install(handlers: Dict[int, Any]) -> None:
    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers.items():
            if handler is not None:  # else it was not installed from Python
                signal.signal(number, handler)


_PARTS: Dict[str, _Part] = {
    "directory": _Part(_directory, _enter),
    "numpy errors": _Part(np.geterr, lambda errors: np.seterr(**errors)),
    "signals": _Part(_handlers, _install, is_kept=False),
}
