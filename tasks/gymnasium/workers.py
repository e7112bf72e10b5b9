"""Worker processes that step equal shares of the environments at the same time."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import select
import signal
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence

import numpy as np

from tasks.errors import describe
from tasks.gymnasium.buffers import Layout, Memory
from tasks.gymnasium.chunk import Chunk
from tasks.gymnasium.config import GymnasiumCfg
from tasks.gymnasium.generators import Generators
from tasks.gymnasium.guard import CLOSE_S, FailedError, Guard, Patience
from tasks.gymnasium.processes import Reaper, kill_group, lead_group

_THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_WITHOUT_WORKERS = "task.vectorization=sync runs them in this process, which shows more"


class _Share(NamedTuple):
    """A worker and the environments from `start` to before `end`."""

    process: Any
    connection: Connection
    is_ready: Callable[[float], bool]
    guard: Guard
    position: np.ndarray
    start: int
    end: int


class _Answer(NamedTuple):
    """What a call in a worker gave, or one line about what went wrong and where."""

    result: Any
    error: str = ""
    traceback: str = ""
    index: Optional[int] = None
    is_hang: bool = False


class WorkerPool:
    """The same as one `Chunk` of all environments, bit for bit, in several processes.

    Actions and results lie in shared memory; only commands go through the pipes. Workers are
    started afresh (`spawn`): a fork would copy the locks of torch's threads in any state. Each
    leads a group of processes, which ends with it: what an environment has started is not left.

    Args:
        cfg: settings of the task.
        layout: of the buffers of all environments.
        memory: that holds these buffers.
        num_workers: W, at most one per environment.

    Raises:
        FailedError: here and in all methods but `close`: an environment failed or did not answer,
            or its worker died. After the last two the pool is closed.
    """

    def __init__(self, cfg: GymnasiumCfg, layout: Layout, memory: Memory, num_workers: int) -> None:
        context = multiprocessing.get_context("spawn")
        bounds = [layout.num_envs * w // num_workers for w in range(num_workers + 1)]
        self._cfg = cfg
        self._shares: List[_Share] = []
        self._end: Optional[FailedError] = None
        self._reaper = Reaper()
        # Before multiprocessing's own end, which would wait for workers that wait for us.
        atexit.register(self.close)
        try:
            with _one_thread_each():
                for start, end in zip(bounds, bounds[1:]):
                    ours, theirs = context.Pipe()
                    work = (os.getpid(), theirs, cfg, layout, memory, start, end)
                    # No daemon: those must not have children, and environments may.
                    process = context.Process(target=_serve, args=work, daemon=False)
                    process.start()
                    theirs.close()  # else the pipe would outlive the worker
                    self._reaper.add(int(process.pid or 0))
                    position = layout.view(memory).position[start:end]
                    guard = Guard(cfg, start, position)
                    share = _Share(process, ours, _poll(ours), guard, position, start, end)
                    self._shares.append(share)
            self._receive()
        except BaseException:
            self.close()
            raise

    def reset(self, seeds: Optional[Sequence[int]] = None) -> None:
        """Begin a new episode everywhere, as `Chunk.reset`."""
        self._call("reset", seeds)

    def set_clocks(self, elapsed: Sequence[int]) -> None:
        """Let time limits be over earlier, as `Chunk.set_clocks`."""
        self._call("set_clocks", elapsed)

    def step(self) -> None:
        """Apply the actions in the buffers, as `Chunk.step`."""
        self._call("step")

    def generators(self) -> Generators:
        """Return the state of the random numbers of every environment."""
        return [state for states in self._call("generators") for state in states]

    def restore(self, states: Generators) -> None:
        """Go on with the random numbers of `generators`, in new episodes."""
        self._call("restore", states)

    def close(self) -> None:
        """End the workers and everything they have started; those that do not end are killed."""
        for share in self._shares:
            share.connection.close()
        end_s = time.monotonic() + CLOSE_S
        for share in self._shares:
            share.process.join(max(0.0, end_s - time.monotonic()))
            if share.process.is_alive():
                share.process.kill()
            kill_group(share.process.pid)
            share.process.join()
        self._shares = []
        self._reaper.close()
        atexit.unregister(self.close)

    def _call(self, name: str, per_env: Optional[Sequence[Any]] = None) -> List[Any]:
        """Let every worker do the same, each with its part of `per_env`."""
        if self._end is not None:
            raise self._end
        for share in self._shares:
            arguments = () if per_env is None else (per_env[share.start : share.end],)
            try:
                share.connection.send((name, arguments))
            except OSError as error:
                raise self._give_up(share, self._death(share)) from error
        return self._receive()

    def _receive(self) -> List[Any]:
        """Wait for all answers."""
        answers = [self._answer(share) for share in self._shares]
        for answer in answers:
            if answer.error:
                failure = FailedError(answer.error, answer.index, answer.is_hang)
                raise failure from RuntimeError(answer.traceback)
        return [answer.result for answer in answers]

    def _answer(self, share: _Share) -> _Answer:
        # The worker itself interrupts what Python can interrupt, and is given the time to.
        patience = Patience(self._cfg, share.position, extra=2)
        while not share.is_ready(patience.interval_s):
            if patience.is_over():
                raise self._give_up(share, share.guard.hang())
        try:
            return share.connection.recv()
        except (EOFError, OSError) as error:
            raise self._give_up(share, self._death(share)) from error

    def _death(self, share: _Share) -> FailedError:
        share.process.join(CLOSE_S)
        code = share.process.exitcode
        is_killed = code == -signal.SIGKILL
        return FailedError(
            f"the worker of environments {share.start} to {share.end - 1} of {self._cfg.env_id} "
            f"died (exit code {code}); "
            + ("short of memory? use fewer num_envs" if is_killed else _WITHOUT_WORKERS)
        )

    def _give_up(self, share: _Share, failure: FailedError) -> FailedError:
        """Kill a worker and end the others, whose answers belong to nothing any more."""
        self._end = failure
        share.process.kill()
        self.close()
        return failure


def _poll(connection: Connection) -> Callable[[float], bool]:
    """Return what waits for a message, so and so many seconds, and says whether there is one."""
    if not hasattr(select, "poll"):
        return connection.poll
    poller = select.poll()  # a tenth of the time of `connection.poll`
    poller.register(connection.fileno(), select.POLLIN)
    return lambda timeout_s: bool(poller.poll(1000.0 * timeout_s))


def _serve(
    parent: int,
    connection: Connection,
    cfg: GymnasiumCfg,
    layout: Layout,
    memory: Memory,
    start: int,
    end: int,
) -> None:
    """Be a worker until the pipe is closed, be it by the death of the parent."""
    lead_group(parent)
    built = _attempt(Chunk, cfg, layout.view(memory).rows(start, end), start)
    chunk: Optional[Chunk] = built.result
    with contextlib.suppress(EOFError, OSError):
        connection.send(built._replace(result=None))
        while chunk is not None:
            name, arguments = connection.recv()
            connection.send(_attempt(getattr(chunk, name), *arguments))
    if chunk is not None:
        chunk.close()


def _attempt(function: Callable[..., Any], *arguments: Any) -> _Answer:
    """Call a function; what goes wrong is part of the answer."""
    try:
        return _Answer(function(*arguments))
    except FailedError as error:
        behind = "\n" + traceback.format_exc()
        return _Answer(None, str(error), behind, error.index, error.is_hang)
    except Exception as error:
        return _Answer(None, describe(error), "\n" + traceback.format_exc())


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Start processes whose linear algebra uses one thread: their number fills the cores."""
    before: Dict[str, Optional[str]] = {name: os.environ.get(name) for name in _THREAD_SETTINGS}
    os.environ.update(dict.fromkeys(_THREAD_SETTINGS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
