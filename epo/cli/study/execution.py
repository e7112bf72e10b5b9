"""Runs as processes of train.py, several at a time, one thread each."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from typing import Deque, Dict, List, NamedTuple, Sequence

from epo.cli.environment import CONFIG_DIR
from epo.cli.study.runs import Run
from epo.config import ConfigError
from epo.record.progress import clock, short
from epo.runner.guard import StopSignal

TRAIN = CONFIG_DIR.parent / "train.py"
OUTPUT = "output.txt"
"""What a run prints, in its folder."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
POLL_S = 0.1


class Job(NamedTuple):
    """A run and its process."""

    run: Run
    process: subprocess.Popen[bytes]


class Execution:
    """Some runs of a study, from the first process to the last.

    Args:
        runs: what to run, in this order.
        num_jobs: processes at a time, at least 1.
        metric: column that is shown of a run that has ended.

    Attributes:
        failures: name of a run -> why it failed.
    """

    def __init__(self, runs: Sequence[Run], num_jobs: int, metric: str) -> None:
        self.num_jobs = num_jobs
        self.metric = metric
        self.failures: Dict[str, str] = {}
        self._num_runs = len(runs)
        self._num_ended = 0
        self._waiting: Deque[Run] = deque(runs)
        self._jobs: List[Job] = []
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
                        self._jobs.append(start(self._waiting.popleft()))
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

    def _collect(self, is_stopping: bool) -> None:
        """Record the processes that have ended."""
        ended = [job for job in self._jobs if job.process.poll() is not None]
        self._jobs = [job for job in self._jobs if job not in ended]
        for run, process in ended:
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
    """Start train.py; what it prints goes to `OUTPUT` in its folder.

    Raises:
        ConfigError: if the folder cannot be written.
    """
    folder = run.folder.path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / OUTPUT, "wb") as output:
            process = subprocess.Popen(
                [sys.executable, str(TRAIN), *run.arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **ONE_THREAD},
            )
    except OSError as error:
        way_out = f"cannot be written ({error.strerror}); choose another runs="
        raise ConfigError("runs", folder, way_out) from error
    return Job(run, process)


def reason(run: Run, code: int) -> str:
    """Return why a run failed: its last error, else its last line and the code of its process."""
    path, lines = run.folder.path / OUTPUT, []
    with suppress(OSError):
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    errors = [line for line in lines if line.startswith("error: ")]
    if errors:
        return errors[-1][len("error: ") :]
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")
    return f"code {code}, {last} ({path})"
