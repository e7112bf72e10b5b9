"""Starts the ranks of a run on this machine, by torch's elastic launcher, and tells how they ended.

Its defaults do not fit a training: they look for an etcd server and repeat a failed run three
times. Here a run is started once; what failed is said in one line, and `resume=auto` goes on.
"""

from __future__ import annotations

import dataclasses
import logging
import signal
import sys
import uuid
from typing import Any, Dict, Sequence

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from epo.ranks.alone import GONE
from epo.terminal import say

SAID = (1, 2, GONE)
"""Exit codes of ranks that have said what was wrong."""
SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
"""What is handed on to the ranks, as far as this system knows it."""
INTERRUPTED = tuple(128 + signal.Signals[name] for name in SIGNALS if hasattr(signal, name))


def launch(num_ranks: int, command: Sequence[str]) -> int:
    """Run `command` with this Python once per rank, and return the exit code of the whole.

    A signal is handed on to the ranks, which have 30 s to save. If one rank fails, the others are
    ended.

    Args:
        num_ranks: on this machine.
        command: script and arguments.
    """
    # Every failure below is said by us, in one line.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    settings: Dict[str, Any] = dict(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=num_ranks,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",  # any free port
        local_addr="localhost",
        max_restarts=0,
        monitor_interval=0.2,
        **_signals(),
    )
    config = LaunchConfig(**settings)
    try:
        elastic_launch(config, sys.executable)(*command)
    except SignalException as interruption:
        return 128 + int(interruption.sigval)
    except ChildFailedError as error:
        return _tell(error.failures)
    return 0


def _signals() -> Dict[str, str]:
    """Name the signals that end the ranks, where this torch can be told: not those under nohup."""
    if all(field.name != "signals_to_handle" for field in dataclasses.fields(LaunchConfig)):
        return {}
    known = [signal.Signals[name] for name in SIGNALS if hasattr(signal, name)]
    heard = [number.name for number in known if signal.getsignal(number) is not signal.SIG_IGN]
    return {"signals_to_handle": ",".join(heard)}


def _tell(failures: Dict[int, ProcessFailure]) -> int:
    """Say which rank failed first, unless a rank has said so, and return the exit code."""
    codes = {rank: failure.exitcode for rank, failure in sorted(failures.items())}
    if all(code in INTERRUPTED for code in codes.values()):
        return max(codes.values())
    line = describe(codes)
    if line:
        say(f"error: {line}; the others were ended, resume=auto goes on", is_error=True)
    return 2 if set(codes.values()) == {2} else 1


def describe(codes: Dict[int, int]) -> str:
    """Name the rank that ended first by the exit codes of those that failed.

    Args:
        codes: rank -> exit code, or minus the number of the signal that ended it. The launcher
            ends those that are left by SIGTERM, and by SIGKILL if they hang.

    Returns:
        Nothing if a rank has said what was wrong.
    """
    if any(code in SAID for code in codes.values()):
        return ""
    silent = {rank: code for rank, code in codes.items() if code != -signal.SIGTERM} or codes
    rank, code = next(iter(silent.items()))
    how = f"was killed by {_name(-code)}" if code < 0 else f"ended with code {code}"
    return f"rank {rank} {how}"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
