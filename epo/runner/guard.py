"""Guards of a run: stop signals, and numbers that are not finite."""

from __future__ import annotations

import math
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any, Dict, Mapping, Optional, Union

from epo.quoting import assignment, shell
from epo.ranks import Ranks
from epo.terminal import say

_MESSAGES = {
    signal.SIGINT: "stopping after this iteration; Ctrl-C again quits at once, without saving",
    signal.SIGTERM: "SIGTERM: stopping after this iteration",
}
if hasattr(signal, "SIGHUP"):  # not on Windows
    _MESSAGES[signal.SIGHUP] = "SIGHUP (the terminal is gone): stopping after this iteration"
    for _number in (signal.SIGUSR1, signal.SIGUSR2):
        _MESSAGES[_number] = f"{_number.name} (a cluster's warning): stopping after this iteration"
STOP_SIGNALS = tuple(_MESSAGES)
"""What asks a run to save and end. Slurm warns with SIGUSR1 or SIGUSR2 before the time is over
(`sbatch --signal`; submitit: SIGUSR2), and their default action would kill the run."""


class StopSignal:
    """Turn Ctrl-C (SIGINT) and every other of `STOP_SIGNALS` into a request to stop.

    The run stops after the present iteration.

    A second Ctrl-C raises KeyboardInterrupt at once. What is ignored, as SIGHUP under nohup, stays
    ignored. Signals reach the main thread only: used in another thread, the context manager does
    nothing.

    Attributes:
        number: the first signal that came, or None.
    """

    def __init__(self) -> None:
        self.number: Optional[int] = None
        self._previous: Dict[int, Any] = {}
        self._is_over = threading.Event()
        # The interrupted code may be printing, so another thread tells the user.
        self._messenger = threading.Thread(target=self._tell, daemon=True)

    def __enter__(self) -> StopSignal:
        self._messenger.start()
        if threading.current_thread() is threading.main_thread():
            wanted = [n for n in _MESSAGES if signal.getsignal(n) is not signal.SIG_IGN]
            self._previous = {number: signal.signal(number, self._handle) for number in wanted}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._is_over.set()
        self._messenger.join()

    def __bool__(self) -> bool:
        """Return whether the run should stop."""
        return self.number is not None

    def agree(self, ranks: Ranks) -> bool:
        """Tell whether the run should stop; a signal to one rank is one to all of them."""
        self.number = ranks.largest(self.number or 0) or None
        return self.number is not None

    @property
    def exit_code(self) -> int:
        """Exit code: 0 without a signal, else 128 plus its number (130 Ctrl-C, 143 SIGTERM)."""
        return 0 if self.number is None else 128 + self.number

    def _handle(self, number: int, frame: Optional[FrameType]) -> None:
        if number == signal.SIGINT and self.number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.number is None:  # set the event once: a nested signal would wait for itself
            self.number = int(number)
            self._is_over.set()

    def _tell(self) -> None:
        """Tell the user what the first signal does, when it comes."""
        self._is_over.wait()
        if self.number is not None:
            say(_MESSAGES[signal.Signals(self.number)], is_error=True)


class NonFiniteError(ArithmeticError):
    """Training diverged; the message names the metrics and the way out."""


def check_finite(
    metrics: Mapping[str, float], iteration: int, last: Union[str, Path], group: str
) -> None:
    """Stop a diverged run.

    Args:
        metrics: numbers that must be finite: losses, step size, KL. Statistics of episodes
            are NaN before the first episode ends and do not belong here.
        iteration: the one that they come from.
        last: newest checkpoint of the run, for the way out; it may not be there yet.
        group: settings of the optimiser, such as `algo.ppo`, for the way out.

    Raises:
        NonFiniteError: if one of them is NaN or infinite.
    """
    bad = [f"{name}={value}" for name, value in metrics.items() if not math.isfinite(value)]
    if bad:
        # A resumed run keeps its step size: only a new one takes another.
        start = f"{shell([assignment('checkpoint', last)])} " if Path(last).exists() else ""
        raise NonFiniteError(
            f"{', '.join(bad)} in iteration {iteration}: training diverged; begin a new run with "
            f"smaller steps: {start}{group}.learning_rate=... (or {group}.max_grad_norm=...)"
        )


def check_skipped(in_a_row: float, max_skipped: int, iteration: int) -> None:
    """Stop a run that skips too many minibatches in a row.

    Raises:
        NonFiniteError: if there were more in a row than `guard.max_skipped`.
    """
    if in_a_row > max_skipped:
        raise NonFiniteError(
            f"{in_a_row:.0f} minibatches in a row were not finite in iteration {iteration}, "
            f"guard.max_skipped={max_skipped}: training diverged; take smaller steps in a new run"
        )
