"""The search itself: ask for a trial, run it as a process, report its curve, tell how it ended."""

from __future__ import annotations

import math
import subprocess
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import optuna
from optuna.trial import Trial, TrialState

from epo.cli import child
from epo.cli.study.outcome import Curve
from epo.config import ConfigError
from epo.quoting import assignment
from epo.record.csv import METRICS, header, number, rows
from epo.record.progress import short
from epo.runner.folder_lock import FolderLock
from epo.runner.guard import StopSignal
from epo.terminal import say
from epo.validation import did_you_mean
from launch.tune.definition import TuneCfg, assigned
from launch.tune.storage import distributions, locked_storage

POLL_S = 0.5
REPORTS = 20
"""Times that a trial may be pruned, evenly over its frames."""
REASON = "reason"
"""Attribute of a failed trial."""


class Worker(NamedTuple):
    """A trial and its process.

    Attributes:
        trial: of the study.
        folder: of its run.
        process: train.py.
        lock: held while this command looks after the trial.
    """

    trial: Trial
    folder: Path
    process: subprocess.Popen[bytes]
    lock: FolderLock


class Search:
    """Trials of one study, several at a time; other commands may work on the same study.

    Args:
        study: where trials come from and go to.
        tune: what is searched.
        root: folder of the runs and of the storage.
        extra: overrides of all runs, after those of the search.
        num_workers: trials at a time.
    """

    def __init__(
        self,
        study: optuna.Study,
        tune: TuneCfg,
        root: Path,
        extra: Sequence[str],
        num_workers: int,
    ) -> None:
        self.study = study
        self.tune = tune
        self.root = root
        self.extra = list(extra)
        self.num_workers = num_workers
        self._workers: List[Worker] = []

    def run(self) -> int:
        """Run what is left of the trials and return 0, or 128 plus the number of a signal.

        Trials that a command left unfinished go on at their last checkpoint. At a signal the
        running ones save and end; they stay unfinished.
        """
        is_asked = False
        with StopSignal() as stop:
            try:
                while True:
                    if not stop:
                        self._fill()
                    elif not is_asked:
                        is_asked = True
                        for worker in self._workers:
                            worker.process.terminate()
                    if not self._workers:
                        break
                    time.sleep(POLL_S)
                    with locked_storage(self.root):
                        self._look(bool(stop))
            finally:  # empty, unless something went wrong here
                for worker in self._workers:
                    worker.process.kill()
        return stop.exit_code

    def _fill(self) -> None:
        """Start trials until all workers are busy or enough have begun."""
        while len(self._workers) < self.num_workers:
            with locked_storage(self.root):
                trial = self._orphan() or self._next()
            if trial is None:
                return
            self._start(*trial)

    def _orphan(self) -> Optional[Tuple[Trial, FolderLock]]:
        """Return a trial that no command looks after any more, with its lock."""
        for frozen in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if any(worker.trial.number == frozen.number for worker in self._workers):
                continue
            lock = self._lock(frozen.number)
            if lock is not None:
                return Trial(self.study, frozen._trial_id), lock
        return None

    def _next(self) -> Optional[Tuple[Trial, FolderLock]]:
        """Ask for a new trial; None if there are enough."""
        counted = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING)
        if len(self.study.get_trials(deepcopy=False, states=counted)) >= self.tune.num_trials:
            return None
        trial = self.study.ask(distributions(self.tune))
        lock = self._lock(trial.number)
        assert lock is not None, "a new trial is nobody else's"
        return trial, lock

    def _lock(self, number: int) -> Optional[FolderLock]:
        """Hold a trial; None if another command does."""
        folder = self.root / ".trials" / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(folder)
        try:
            lock.acquire()
        except ConfigError:
            return None
        return lock

    def _start(self, trial: Trial, lock: FolderLock) -> None:
        folder = self.root / f"trial-{trial.number}"
        values = [assigned(name, value) for name, value in trial.params.items()]
        arguments = [
            *self.tune.settings,
            *self.extra,
            *values,
            f"max_frames={self.tune.max_frames}",
            assignment("run_dir", folder),
            "resume=auto",
        ]
        process = child.start(arguments, folder, child.ONE_THREAD)
        say(f"trial {trial.number}: {' '.join(values)}")
        self._workers.append(Worker(trial, folder, process, lock))

    def _look(self, is_stopping: bool) -> None:
        """Report the curves, prune, and take note of the processes that have ended."""
        for worker in list(self._workers):
            code = worker.process.poll()
            curve = read_curve(worker.folder, self.tune.metric)
            is_pruned = self._report(worker, curve)
            if code is None and is_pruned:
                worker.process.terminate()
                code = worker.process.wait()
            if code is None:
                continue
            self._workers.remove(worker)
            if not is_stopping or code == 0 or is_pruned:
                self._tell(worker, curve, code, is_pruned)
            worker.lock.release()

    def _report(self, worker: Worker, curve: Curve) -> bool:
        """Report the new points of a curve and say whether the trial is to end."""
        known = self.study._storage.get_trial(worker.trial._trial_id).intermediate_values
        width = self.tune.max_frames / REPORTS
        points: Dict[int, float] = {}
        for frames in curve.frames:
            step = int(frames // width * width)
            if step > 0 and step not in known and step not in points:
                points[step] = curve.final("frames", frames)
        for step, value in points.items():
            if math.isfinite(value):
                worker.trial.report(value, step)
        return bool(points) and worker.trial.should_prune()

    def _tell(self, worker: Worker, curve: Curve, code: int, is_pruned: bool) -> None:
        """Tell the study how a trial ended."""
        trial, value = worker.trial, curve.final("frames", self.tune.max_frames)
        if is_pruned:
            self.study.tell(trial, state=TrialState.PRUNED)
            said = f"pruned at {short(curve.frames[-1])} frames"
        elif code or not math.isfinite(value):
            reason = (
                child.reason(worker.folder, abs(code)) if code else self._without_metric(worker)
            )
            trial.set_user_attr(REASON, reason)
            self.study.tell(trial, state=TrialState.FAIL)
            said = f"failed: {reason}"
        else:
            self.study.tell(trial, value)
            said = f"{self.tune.metric} {short(value)}"
        done = [t for t in self.study.get_trials(deepcopy=False) if t.state.is_finished()]
        complete = [t.value for t in done if t.value is not None and t.state.name == "COMPLETE"]
        best = f", best {short(max(complete))}" if complete else ""
        say(f"{len(done)}/{self.tune.num_trials}  trial {trial.number}: {said}{best}")

    def _without_metric(self, worker: Worker) -> str:
        columns = header(worker.folder / METRICS)
        if self.tune.metric not in columns:
            return f"metric={self.tune.metric}: no such column" + did_you_mean(
                self.tune.metric, columns
            )
        return f"{self.tune.metric} is empty: no episode has ended"


def read_curve(folder: Path, metric: str) -> Curve:
    """Read a column of a run's metrics.csv, as far as it has come."""
    curve = Curve([], [], [])
    if not header(folder / METRICS):
        return curve
    for row in rows(folder / METRICS):
        value = number(row.get(metric, ""))
        if math.isfinite(value):
            curve.frames.append(number(row["frames"]))
            curve.wall_s.append(number(row["wall_s"]))
            curve.value.append(value)
    return curve
