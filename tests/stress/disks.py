"""Full disks, folders that cannot be written, and outlets that close."""

from __future__ import annotations

import os
import random
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

from epo.runner import checkpoint
from tests.stress.command import (
    NETWORK,
    Done,
    changes,
    contents,
    differing,
    num_rows,
    start,
    train,
    wait,
)
from tests.stress.experiment import Experiment, Outcome
from tests.stress.forks import fork
from tests.stress.reference import reference

ARGUMENTS = (*NETWORK, "max_iterations=16", "record.checkpoint_interval=2")
AS_USER = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
"""Root may write everywhere; without these capabilities permissions count for it as well."""


def full(case: int, folder: Path) -> Outcome:
    """Run on a file system of a random size, then make room and go on."""
    draw = random.Random(case)
    size = int(10 ** draw.uniform(4.3, 6.3)) // 4096 * 4096
    disk = folder / "disk"
    disk.mkdir()
    outcome = Outcome("disks", case, f"a disk of {size // 1024} KiB")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(disk)], capture_output=True
    )
    if mounted.returncode:
        outcome.result = "skipped: mount is not allowed here"
        return outcome
    try:
        done = (train if case % 4 == 0 else fork)([*ARGUMENTS, "run_dir=disk/run"], folder)
        outcome.result = "ran to its end, with a warning" if done.code == 0 else "ended with a line"
        outcome.fault = done.fault or _readable(disk / "run")
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        if not outcome.fault:
            outcome.fault = _goes_on(folder, "disk/run")
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
    return outcome


def read_only(case: int, folder: Path) -> Outcome:
    """Start in a folder that cannot be written."""
    outcome = Outcome("disks", case, "a read-only folder", result="refused")
    run_dir = folder / "run"
    run_dir.mkdir()
    run_dir.chmod(0o555)
    before = contents(folder)
    done = train([*ARGUMENTS, "run_dir=run"], folder, _as_user())
    outcome.fault = done.fault or ("" if done.code == 2 else f"code {done.code}, expected 2")
    outcome.fault = outcome.fault or changes(before, contents(folder))
    return outcome


def becomes_read_only(case: int, folder: Path) -> Outcome:
    """Take the right to write away in the middle of a run, give it back, and go on."""
    draw = random.Random(case)
    target = draw.randint(1, 8)
    outcome = Outcome("disks", case, f"a folder that becomes read-only after {target} rows")
    run_dir = folder / "run"
    process = start([*ARGUMENTS, "run_dir=run"], folder, _as_user())
    while process.poll() is None and num_rows(run_dir) < target:
        time.sleep(0.002)
    folders = [run_dir, *(path for path in run_dir.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    done = wait(process)
    for path in folders:
        path.chmod(0o755)
    outcome.result = "ran to its end, with a warning" if done.code == 0 else "ended with a line"
    outcome.fault = done.fault or _readable(run_dir) or _goes_on(folder, "run")
    return outcome


def closed_outlet(case: int, folder: Path) -> Outcome:
    """Let standard output, or both outlets, be full, closed or unable to write beyond ASCII."""
    kind = ["stdout is /dev/full", "both are /dev/full", "stdout closes", "ASCII"][case % 4]
    outcome = Outcome("disks", case, f"outlets: {kind}", result="ran to its end")
    arguments = [*ARGUMENTS, "run_dir=run", "record.console_interval_s=0"]
    if kind == "stdout closes":
        done = _into_a_reader_that_leaves(arguments, folder)
    elif kind == "ASCII":
        environment = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
        done = train(arguments, folder, env=environment)
    else:
        with open("/dev/full", "w") as device:
            outlets: Dict[str, Any] = {"stdout": device}
            if kind == "both are /dev/full":
                outlets["stderr"] = device
            done = train(arguments, folder, **outlets)
    outcome.fault = done.fault or (f"code {done.code}, expected 0" if done.code else "")
    whole = reference(ARGUMENTS, folder.parent)
    outcome.fault = outcome.fault or differing(whole.run_dir, folder / "run")
    return outcome


KINDS: Dict[Callable[[int, Path], Outcome], int] = {
    full: 12,
    read_only: 2,
    becomes_read_only: 4,
    closed_outlet: 4,
}
"""What goes wrong, and how many cases of each there are."""


def run(case: int, folder: Path) -> Outcome:
    """Run the kind of case that `case` belongs to."""
    number = case
    for kind, count in KINDS.items():
        if number < count:
            return kind(case, folder)
        number -= count
    raise ValueError(case)


def _goes_on(folder: Path, run_dir: str) -> str:
    """Continue the run on a sound disk and compare it with an undisturbed one."""
    done = fork([*ARGUMENTS, f"run_dir={run_dir}", "resume=auto"], folder)
    if done.fault or done.code:
        return f"cannot go on once there is room: {done.fault or done.errors or done.code}"
    whole = reference(ARGUMENTS, folder.parent)
    return differing(whole.run_dir, folder / run_dir, may_lack_rows=True)


def _readable(run_dir: Path) -> str:
    """Say which checkpoint was left incomplete; a run may have none yet."""
    errors = [_load_error(path) for path in sorted(run_dir.glob("checkpoints/*.pt"))]
    return next((f"left a broken checkpoint: {error}" for error in errors if error), "")


def _load_error(path: Path) -> str:
    try:
        checkpoint.load(path)
    except ValueError as error:
        return str(error)
    return ""


def _into_a_reader_that_leaves(arguments: List[str], folder: Path) -> Done:
    process = start(arguments, folder)
    assert process.stdout
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    return wait(process)


def _as_user() -> List[str]:
    return list(AS_USER) if os.geteuid() == 0 else []


EXPERIMENT = Experiment(
    name="disks",
    promise="What cannot be written or printed never ends in a traceback: the run goes on or ends "
    "with a line, every checkpoint on disk can be read, and once there is room the run goes on "
    "with the numbers of an undisturbed one.",
    how="A run folder on a disk of 20 KiB to 2 MB; a folder that is or becomes read-only; standard "
    "output that is full, closed by its reader, or ASCII only.",
    count=sum(KINDS.values()),
    run=run,
)
