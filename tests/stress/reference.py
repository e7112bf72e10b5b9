"""Runs that nothing disturbs, made once per session and compared with the disturbed ones."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Dict, NamedTuple, Tuple

from tests.stress.command import num_rows, start, wait

_LOCK = threading.Lock()
_KNOWN: Dict[Tuple[str, ...], Reference] = {}


class Reference(NamedTuple):
    """An uninterrupted run.

    Attributes:
        run_dir: its folder.
        first_row_s: time from the start of the process to its first row, s.
        iteration_s: mean time of a later iteration, s.
    """

    run_dir: Path
    first_row_s: float
    iteration_s: float


def reference(arguments: Tuple[str, ...], folder: Path) -> Reference:
    """Return the run of `arguments`; the first call makes it.

    Args:
        arguments: without `run_dir`, with `max_iterations`.
        folder: where such runs lie, shared by all cases.
    """
    with _LOCK:
        if arguments not in _KNOWN:
            run_dir = folder / f"reference{len(_KNOWN)}"
            shutil.rmtree(run_dir, ignore_errors=True)
            _KNOWN[arguments] = _make(arguments, run_dir)
        return _KNOWN[arguments]


def _make(arguments: Tuple[str, ...], run_dir: Path) -> Reference:
    begin = time.monotonic()
    run_dir.parent.mkdir(parents=True, exist_ok=True)
    process = start([*arguments, f"run_dir={run_dir.name}"], run_dir.parent)
    while num_rows(run_dir) < 1 and process.poll() is None:
        time.sleep(0.01)
    first_row_s = time.monotonic() - begin
    done = wait(process)
    if done.code != 0:
        raise RuntimeError(f"the undisturbed run fails: {done.err}")
    rest = max(num_rows(run_dir) - 1, 1)
    return Reference(run_dir, first_row_s, (time.monotonic() - begin - first_row_s) / rest)
