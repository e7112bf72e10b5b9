"""Worker processes that step equal shares of the environments at the same time."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import signal
import traceback
from multiprocessing.connection import Connection
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence

from tasks.gymnasium.buffers import Layout, Memory
from tasks.gymnasium.chunk import Chunk, FailedError, Generators
from tasks.gymnasium.config import GymnasiumCfg

CLOSE_S = 5.0
"""Time that a worker gets to close its environments before it is killed, s."""
_THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_WITHOUT_WORKERS = "task.vectorization=sync runs them in this process, which shows more"
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Share(NamedTuple):
    """A worker and the environments from `start` to before `end`."""

    process: Any
    connection: Connection
    start: int
    end: int


class _Answer(NamedTuple):
    """What a call in a worker gave, or one line about what went wrong and where."""

    result: Any
    error: str = ""
    traceback: str = ""


class WorkerPool:
    """The same as one `Chunk` of all environments, bit for bit, in several processes.

    Actions and results lie in shared memory; only commands go through the pipes. Workers are
    started afresh (`spawn`): a fork would copy the locks of torch's threads in any state.

    Args:
        cfg: settings of the task.
        layout, memory: buffers of all environments.
        num_workers: W, at most one per environment.

    Raises:
        FailedError: if a worker cannot build its environments.
    """

    def __init__(self, cfg: GymnasiumCfg, layout: Layout, memory: Memory, num_workers: int) -> None:
        context = multiprocessing.get_context("spawn")
        bounds = [layout.num_envs * w // num_workers for w in range(num_workers + 1)]
        self._env_id = cfg.env_id
        self._shares: List[_Share] = []
        with _one_thread_each():
            for start, end in zip(bounds, bounds[1:]):
                ours, theirs = context.Pipe()
                work = (theirs, cfg, layout, memory, start, end)
                process = context.Process(target=_serve, args=work, daemon=True)
                process.start()
                theirs.close()  # else the pipe would outlive the worker
                self._shares.append(_Share(process, ours, start, end))
        # Before multiprocessing's own end, which would wait for workers that wait for us.
        atexit.register(self.close)
        try:
            self._receive()
        except FailedError:
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
        """Give the state of the random numbers of every environment."""
        return [state for states in self._call("generators") for state in states]

    def restore(self, states: Generators) -> None:
        """Go on with the random numbers of `generators`, in new episodes."""
        self._call("restore", states)

    def close(self) -> None:
        """End the workers; those that do not answer are killed."""
        for share in self._shares:
            share.connection.close()
        for share in self._shares:
            share.process.join(CLOSE_S)
            if share.process.is_alive():
                share.process.kill()
                share.process.join()
        self._shares = []
        atexit.unregister(self.close)

    def _call(self, name: str, per_env: Optional[Sequence[Any]] = None) -> List[Any]:
        """Let every worker do the same, each with its part of `per_env`."""
        for share in self._shares:
            arguments = () if per_env is None else (per_env[share.start : share.end],)
            try:
                share.connection.send((name, arguments))
            except OSError as error:
                raise self._death(share) from error
        return self._receive()

    def _receive(self) -> List[Any]:
        """Wait for all answers."""
        answers = [self._answer(share) for share in self._shares]
        for answer in answers:
            if answer.error:
                raise FailedError(answer.error) from RuntimeError(answer.traceback)
        return [answer.result for answer in answers]

    def _answer(self, share: _Share) -> _Answer:
        try:
            return share.connection.recv()
        except (EOFError, OSError) as error:
            raise self._death(share) from error

    def _death(self, share: _Share) -> FailedError:
        share.process.join(CLOSE_S)
        code = share.process.exitcode
        is_killed = code == -signal.SIGKILL
        return FailedError(
            f"the worker of environments {share.start} to {share.end - 1} of {self._env_id} died "
            f"(exit code {code}); "
            + ("short of memory? use fewer num_envs" if is_killed else _WITHOUT_WORKERS)
        )


def _serve(
    connection: Connection, cfg: GymnasiumCfg, layout: Layout, memory: Memory, start: int, end: int
) -> None:
    """Be a worker until the pipe is closed, be it by the death of the parent."""
    for number in _STOP_SIGNALS:  # sent to all processes of a terminal or job; the parent decides
        signal.signal(number, signal.SIG_IGN)
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
    except Exception as error:
        message = " ".join(str(error).split()) or type(error).__name__
        return _Answer(None, message, "\n" + traceback.format_exc())


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
