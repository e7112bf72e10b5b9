"""Processes that environments start, and that of workers: none outlives the run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from typing import Optional

_REAPER = """trap '' HUP INT TERM
while read -r pid; do all="$all $pid"; done
sleep 1
for pid in $all; do kill -9 "-$pid"; kill -9 "$pid"; done"""
"""Shell program: learn the groups of processes, wait for the end of the input, kill what is left a
second later. The system closes the input however the process that writes it dies."""


class Reaper:
    """A tiny process that kills groups of processes if this process dies without `close`."""

    def __init__(self) -> None:
        self._shell: Optional[subprocess.Popen] = None
        with contextlib.suppress(OSError):  # without a shell, as on Windows
            self._shell = subprocess.Popen(
                ["/bin/sh", "-c", _REAPER],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # no Ctrl-C of the terminal reaches it
            )

    def add(self, pid: int) -> None:
        """Kill the group that process `pid` leads, too."""
        if self._shell is not None and self._shell.stdin is not None:
            with contextlib.suppress(OSError):
                self._shell.stdin.write(f"{pid}\n".encode())
                self._shell.stdin.flush()

    def close(self) -> None:
        """End without killing anybody."""
        if self._shell is not None:
            self._shell.kill()
            self._shell.communicate()
            self._shell = None


def lead_group(parent: int) -> None:
    """Make this process, a child of `parent`, the leader of a group of its own.

    Stop signals of the terminal do not reach it, and those sent to it alone do nothing: its parent
    decides. It ends at once if the parent is gone already.
    """
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    if os.getppid() != parent:
        os._exit(1)
    for number in _STOP_SIGNALS:  # not SIG_IGN, which programs that it starts would inherit
        signal.signal(number, _nothing)


def kill_group(pid: int) -> None:
    """Kill what is left of the group that process `pid` leads."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)


def _nothing(number: int, frame: object) -> None:
    """Ignore a signal."""


def _hold_signals() -> None:
    """Let a signal wait that reaches the copy before it has handlers of its own."""
    _mask.before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)


def _let_signals_through() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _mask.before)


def _stop_as_usual() -> None:
    """Let a forked copy of this process end at the signals that the original handles."""
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _let_signals_through()


_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_mask = threading.local()
if hasattr(os, "register_at_fork"):
    # Environments end their own processes with SIGTERM, and may wait for that.
    os.register_at_fork(
        before=_hold_signals,
        after_in_parent=_let_signals_through,
        after_in_child=_stop_as_usual,
    )
