"""The whole sweep: its folder and table before the first run, what is said after the last."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Iterator, List, Optional

from epo.cli.sweep import launcher, plan, slots
from epo.cli.sweep.job import STOP
from epo.cli.sweep.plan import FOLDER, Plan
from epo.cli.sweep.table import FINISHED, WAITING, Table, unfinished
from epo.config import ConfigError
from epo.quoting import assignment, short_path
from epo.runner.folder_lock import FolderLock
from epo.runner.guard import STOP_SIGNALS
from epo.terminal import say


@contextmanager
def session(argv: List[str]) -> Iterator[None]:
    """Prepare the sweep that a command line asks for, and close it.

    Args:
        argv: of the process; Hydra reads it afterwards, so what was decided is added to it.

    Raises:
        ConfigError: if the sweep cannot be carried out.
        SystemExit: 1 if a run failed, 128 plus the number of the signal that ended the sweep.
    """
    sweep = plan.make(argv[1:])
    table = Table(sweep.folder)
    lock = _begin(sweep, table)
    argv += launcher.arguments(sweep.hydra, len(sweep.names))
    if FOLDER not in sweep.hydra:
        argv.append(assignment(FOLDER, sweep.folder))
    try:
        if sweep.hydra.get(launcher.SETTING) == "joblib":
            with _stopping(sweep.folder):
                yield
        else:
            yield
    finally:
        lock.release()
        code = _end(table)
    if code:
        sys.exit(code)


def _begin(sweep: Plan, table: Table) -> FolderLock:
    """Hold the folder, list the runs and say how many are left."""
    lock = FolderLock(sweep.folder)
    try:
        sweep.folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        table.begin(sweep.names, sweep.overrides)
        with suppress(FileNotFoundError):
            (sweep.folder / STOP).unlink()
    except OSError as error:
        way_out = f"cannot be written ({error.strerror}); choose another folder"
        raise ConfigError(FOLDER, sweep.folder, way_out) from error
    except ConfigError as error:
        way_out = f"another sweep is running in it; wait, or choose another {FOLDER}"
        raise ConfigError(FOLDER, sweep.folder, way_out) from error
    rows = table.rows()[: len(sweep.names)]
    begun = sum(row["state"] not in (WAITING, FINISHED) for row in rows)
    finished = sum(row["state"] == FINISHED for row in rows)
    known = f": {finished} finished, {begun} begun" if finished or begun else ""
    say(f"{len(rows)} runs in {short_path(sweep.folder)}{known}")
    return lock


def _end(table: Table) -> int:
    """Say what became of the runs and return the exit code of the sweep."""
    rows = table.refresh()
    failures = unfinished(rows)
    for row in failures:
        say(f"error: {row['run']} {row['state']}: {row['error'] or 'killed'}", is_error=True)
    done = sum(row["state"] == FINISHED for row in rows)
    say(f"{done} of {len(rows)} runs finished; {short_path(table.path)}")
    stop = table.folder / STOP
    with suppress(OSError, ValueError):
        code = int(stop.read_text(encoding="utf-8"))
        stop.unlink()
        return code
    return 1 if failures else 0


@contextmanager
def _stopping(folder: Path) -> Iterator[None]:
    """Let the runs on this machine save and end at a signal; no other begins.

    Ctrl-C reaches them by itself, the others have to be sent on.
    """

    def stop(number: int, frame: Optional[FrameType]) -> None:
        (folder / STOP).write_text(str(128 + number), encoding="utf-8")
        if number != signal.SIGINT:
            for pid in slots.pids(folder):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    wanted = [n for n in STOP_SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, stop) for number in wanted}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
