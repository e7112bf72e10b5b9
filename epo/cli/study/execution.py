"""Runs as processes of train.py, several at a time, one thread each."""

from __future__ import annotations

import subprocess
import time
from collections import deque
from typing import Deque, Dict, List, Mapping, NamedTuple, Optional, Protocol, Sequence, Tuple

from epo.cli import child
from epo.record.progress import clock, short
from epo.runner.guard import StopSignal
from epo.runner.run_folder import RunFolder

POLL_S = 0.1


class Run(Protocol):
    """What can be carried out: a run of a study or of another comparison."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        ...

    @property
    def arguments(self) -> Tuple[str, ...]:
        """Overrides of train.py, the folder included."""
        ...

    @property
    def folder(self) -> RunFolder:
        """Where it leaves its files."""
        ...


class Job(NamedTuple):
    """A run, its process, and the variables that keep it to its share of the machine."""

    run: Run
    process: subprocess.Popen[bytes]
    share: Mapping[str, str] = child.ONE_THREAD


class Execution:
    """Some runs, from the first process to the last.

    Args:
        runs: what to run, in this order.
        num_jobs: processes at a time, at least 1.
        metric: column that is shown of a run that has ended.
        shares: variables of the runs that go on at the same time, such as the GPU of each; None:
            one thread for every run.

    Attributes:
        failures: name of a run -> why it failed.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        num_jobs: int,
        metric: str,
        shares: Optional[Sequence[Mapping[str, str]]] = None,
    ) -> None:
        self.num_jobs = num_jobs
        self.metric = metric
        self.failures: Dict[str, str] = {}
        self._num_runs = len(runs)
        self._num_ended = 0
        self._waiting: Deque[Run] = deque(runs)
        self._jobs: List[Job] = []
        self._shares = None if shares is None else list(shares)  # those that are free
        self._begin = time.perf_counter()

    def run(self) -> int:
        """Run all of them and return 0, or 130 or 143 if a signal came before the end.

        After Ctrl-C or SIGTERM the running ones save their state and end, no other begins.
        """
        is_asked = False
        with StopSignal() as stop:
            try:
                while self._jobs or (self._waiting and not stop):
                    while self._waiting and len(self._jobs) < self.num_jobs and not stop:
                        self._jobs.append(self._start(self._waiting.popleft()))
                    if stop and not is_asked:
                        is_asked = True
                        for job in self._jobs:
                            job.process.terminate()
                    time.sleep(POLL_S)
                    self._collect(is_stopping=bool(stop))
            finally:  # empty, unless something went wrong here
                for job in self._jobs:
                    job.process.kill()
        return stop.exit_code

    def _start(self, run: Run) -> Job:
        if self._shares is None:
            return start(run)
        share = self._shares.pop(0)
        return Job(run, child.start(run.arguments, run.folder.path, share), share)

    def _collect(self, is_stopping: bool) -> None:
        """Record the processes that have ended."""
        ended = [job for job in self._jobs if job.process.poll() is not None]
        self._jobs = [job for job in self._jobs if job not in ended]
        for run, process, share in ended:
            if self._shares is not None:
                self._shares.append(share)
            if process.returncode and is_stopping:
                continue
            self._num_ended += 1
            if process.returncode:
                self.failures[run.name] = reason(run, process.returncode)
                said = f"failed: {self.failures[run.name]}"
            else:
                said = self._reached(run)
            left_s = self._remaining_s()
            left = f" (about {clock(left_s)} left)" if left_s else ""
            print(f"{self._num_ended}/{self._num_runs}  {run.name}: {said}{left}", flush=True)

    def _reached(self, run: Run) -> str:
        summary = run.folder.read_summary()
        value = summary.get("metrics", {}).get(self.metric)
        shown = "–" if value is None else short(value)
        return f"{self.metric} {shown} in {clock(summary.get('wall_s', 0.0))}"

    def _remaining_s(self) -> float:
        """Guess the rest: rounds of all arms and environments take equally long."""
        elapsed_s = time.perf_counter() - self._begin
        return elapsed_s / self._num_ended * (self._num_runs - self._num_ended)


def start(run: Run) -> Job:
    """Start a run with one thread.

    Raises:
        ConfigError: if the folder cannot be written.
    """
    return Job(run, child.start(run.arguments, run.folder.path, child.ONE_THREAD))


def reason(run: Run, code: int) -> str:
    """Return why a run failed."""
    return child.reason(run.folder.path, code)
