"""The one way into a user's environment: what goes wrong there has a name, a place and an end."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import Any, Iterator, NamedTuple, Optional

import numpy as np

from tasks.errors import describe
from tasks.gymnasium.config import GymnasiumCfg
from tasks.gymnasium.surroundings import foreign

PHASES = (
    "the start of its worker",
    "import",
    "construction",
    "spaces",
    "reset",
    "step",
    "render",
    "random numbers",
    "close",
)
"""What an environment is asked for, by number; 0 where nobody is asked."""
IMPORT, CONSTRUCTION, SPACES, RESET, STEP, RENDER, GENERATOR, CLOSE = range(1, len(PHASES))
SLICES = 8
"""Looks at a call within the shortest limit."""
CLOSE_S = 5.0
"""Time that an environment gets to close, s."""
WORKER_START_S = 60.0
"""Time that a worker gets at least to import what it needs, s."""
OLD_API = "Gymnasium's step gives 5 values, its reset 2; wrap an environment of the old gym"


class FailedError(RuntimeError):
    """An environment, or the process it lives in, cannot continue.

    Attributes:
        index: of the environment in the task; None: unknown, or of a sample.
        is_hang: it did not answer.
        is_value: a number that it gave is what is wrong.
    """

    is_value = False

    def __init__(self, message: str, index: Optional[int] = None, is_hang: bool = False) -> None:
        super().__init__(message)
        self.index, self.is_hang = index, is_hang


class WrongValueError(ValueError):
    """A value that the environment gave is not what its spaces promise; the message is whole."""


class _HungError(BaseException):
    """Raised inside foreign code that takes too long; not for its `except Exception`."""


class Place(NamedTuple):
    """Which environment of a chunk is being called, and for what (index into `PHASES`)."""

    index: int
    phase: int


class Limit(NamedTuple):
    """How long a call may take, s, and what sets it."""

    time_s: float
    setting: str


def limit(cfg: GymnasiumCfg, phase: int) -> Limit:
    """Return the limit of one call in a phase."""
    if phase == CLOSE:
        return Limit(CLOSE_S, "at the end of a run")
    if phase == 0:
        return Limit(max(cfg.start_timeout_s, WORKER_START_S), "task.start_timeout_s")
    if phase in (IMPORT, CONSTRUCTION, SPACES, RESET):
        return Limit(cfg.start_timeout_s, "task.start_timeout_s")
    return Limit(cfg.step_timeout_s, "task.step_timeout_s")


class Guard:
    """Surrounds calls into the environments of a chunk.

    Args:
        cfg: settings of the task.
        first: index of the chunk's first environment in the task; None: it is a sample.
        position: [>= 1] int64, its first element tells other processes where this one is.
    """

    def __init__(
        self, cfg: GymnasiumCfg, first: Optional[int] = None, position: Optional[np.ndarray] = None
    ) -> None:
        self._cfg, self._first = cfg, first
        self._position = np.zeros(1, np.int64) if position is None else position

    def at(self, index: int, phase: int) -> None:
        """Publish that environment `index` of the chunk is about to be called."""
        self._position[0] = len(PHASES) * index + phase

    @contextmanager
    def __call__(self, phase: int) -> Iterator[None]:
        """Enter foreign code for a phase; `at` says whose, from the first environment on.

        Raises:
            FailedError: naming environment, phase and cause, whatever is raised inside.
        """
        self.at(0, phase)
        try:
            if phase != STEP:
                _ALARM.install()
            with foreign(is_step=phase == STEP), _ALARM.watching(self._cfg, self._position):
                yield
        except FailedError:
            raise
        except _HungError as error:
            raise self.hang() from error
        except (Exception, SystemExit) as error:
            text = str(error) if isinstance(error, WrongValueError) else describe(error)
            if isinstance(error, ValueError) and "values to unpack" in text:
                text = f"{text}; {OLD_API}"
            raise self._failure("failed in", text) from error
        finally:
            self.at(0, 0)

    def hang(self) -> FailedError:
        """Return the failure of the environment that is being called and does not answer."""
        time_s, setting = limit(self._cfg, place(self._position).phase)
        text = f"more than {time_s:g} s ({setting})"
        return self._failure("does not answer in", text, is_hang=True)

    def _failure(self, verb: str, text: str, is_hang: bool = False) -> FailedError:
        index, phase = place(self._position)
        who, of_task = self._cfg.env_id, None
        if self._first is not None:
            of_task = self._first + index
            who = f"environment {of_task} of {who}"
        return FailedError(f"{who} {verb} {PHASES[phase]}: {text}", of_task, is_hang)


class Patience:
    """Tells, asked in regular intervals, when a call takes too long.

    Time in which this process itself was stopped does not count.

    Args:
        cfg: settings of the task.
        position: as of `Guard`.
        extra: intervals beyond the limit.

    Attributes:
        interval_s: time between two looks, s.
    """

    def __init__(self, cfg: GymnasiumCfg, position: np.ndarray, extra: int = 0) -> None:
        self.interval_s = min(cfg.step_timeout_s, cfg.start_timeout_s, CLOSE_S) / SLICES
        self._cfg, self._position, self._extra = cfg, position, extra
        self._last, self._count = -1, 0

    def is_over(self) -> bool:
        """Look once more, `interval_s` after the last time."""
        now = int(self._position[0])
        self._count = self._count + 1 if now == self._last else 0
        self._last = now
        waited_s = (self._count - self._extra) * self.interval_s
        return waited_s >= limit(self._cfg, place(self._position).phase).time_s


def place(position: np.ndarray) -> Place:
    """Read a published position."""
    return Place(*divmod(int(position[0]), len(PHASES)))


class _Alarm:
    """The timer of this process that interrupts a call which takes too long.

    Python can be interrupted in the main thread, and not inside C code. The handler stays
    installed, since installing it takes longer than most steps; without a watch it does nothing.
    """

    def __init__(self) -> None:
        self._watch: Optional[Patience] = None
        self._is_ours = False

    def install(self) -> None:
        """Take the signal unless someone else has it."""
        if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
            handler = signal.getsignal(signal.SIGALRM)
            if handler is signal.SIG_DFL:
                signal.signal(signal.SIGALRM, self._look)
            self._is_ours = handler in (signal.SIG_DFL, self._look)

    @contextmanager
    def watching(self, cfg: GymnasiumCfg, position: np.ndarray) -> Iterator[None]:
        """Interrupt what stands still for too long."""
        if not self._is_ours or threading.current_thread() is not threading.main_thread():
            yield
            return
        self._watch = patience = Patience(cfg, position)
        signal.setitimer(signal.ITIMER_REAL, patience.interval_s, patience.interval_s)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            self._watch = None

    def _look(self, number: int, frame: Any) -> None:
        if self._watch is not None and self._watch.is_over():
            raise _HungError


_ALARM = _Alarm()
