"""Multirun: every run of a sweep is a process of its own.

Hydra runs the jobs of `-m seed=1,2,3` inside its own process, where a later run would inherit the
threads, random numbers and device memory of the earlier ones, and their crash.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from types import FrameType
from typing import Iterator, List, Optional

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode

_SENT_ON = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
INTERRUPTED = (128 + signal.SIGINT, *(128 + number for number in _SENT_ON))


def is_multirun() -> bool:
    """Return whether Hydra runs this job as one of a sweep."""
    return HydraConfig.get().mode == RunMode.MULTIRUN


def run_in_process(script: str) -> None:
    """Run this job of the sweep as a fresh process of `script` and wait for its end.

    Raises:
        CompactHydraException: if the run fails; Hydra continues with the others and ends with
            code 1.
        SystemExit: with the run's code if it was interrupted; this ends the sweep.
    """
    overrides = list(HydraConfig.get().overrides.task)
    print(f"run {HydraConfig.get().job.num}: {' '.join(overrides)}", flush=True)
    processes: List[subprocess.Popen[bytes]] = []
    with _signals_left_to(processes):
        processes.append(subprocess.Popen([sys.executable, script, *overrides]))
        code = processes[0].wait()
    if code < 0:  # Killed by that signal.
        code = 128 - code
    if code in INTERRUPTED:
        sys.exit(code)
    if code:
        raise CompactHydraException(f"run {' '.join(overrides)} ended with code {code}")


@contextmanager
def _signals_left_to(processes: List[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Leave the reaction to signals to the run: it saves its state before it ends.

    Ctrl-C reaches it by itself, SIGTERM and SIGHUP have to be sent on.
    """

    def send_on(number: int, frame: Optional[FrameType]) -> None:
        for process in processes:
            process.send_signal(number)

    previous = {signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None)}
    for number in _SENT_ON:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            previous[number] = signal.signal(number, send_on)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
