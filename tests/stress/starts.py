"""Two processes that start in one run folder at the same moment, and locks that others hold."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from tests.stress.command import NETWORK, changes, contents, differing, num_rows, start, train, wait
from tests.stress.experiment import Experiment, Outcome
from tests.stress.reference import reference

ARGUMENTS = (*NETWORK, "max_iterations=12", "record.checkpoint_interval=3")
NUM_RACES, NUM_HELD, NUM_LOCKLESS = 10, 3, 3
HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""
"""A foreign process that holds the lock of a run folder until its input ends."""
NO_LOCKS = """
import errno, fcntl
def flock(file, operation):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = flock
"""
"""Python's `sitecustomize` of a machine whose file system has no locks."""


def run(case: int, folder: Path) -> Outcome:
    """Race two starts, or start where another process holds the folder."""
    if case < NUM_RACES:
        return _race(case, folder)
    return (_foreign if case < NUM_RACES + NUM_HELD else _lockless)(case, folder)


def _race(case: int, folder: Path) -> Outcome:
    draw = random.Random(case)
    whole = reference(ARGUMENTS, folder.parent)
    arguments = [*ARGUMENTS, "run_dir=run", *(["resume=auto"] if case % 2 else [])]
    outcome = Outcome("starts", case, f"two starts, {'resume=auto' if case % 2 else 'new'}")
    outcome.result = "one won"
    first = start(arguments, folder)
    time.sleep(draw.choice([0.0, 0.0, 0.05]))
    second = start(arguments, folder)
    ends = [wait(first), wait(second)]
    winners = [done for done in ends if done.code == 0]
    losers = [done for done in ends if done.code == 2]
    outcome.fault = next((done.fault for done in ends if done.fault), "")
    is_late = any("is finished" in done.out for done in winners)
    if outcome.fault:
        return outcome
    if is_late and len(winners) == 2:
        outcome.result = "the second found the run finished"
    elif len(winners) != 1 or len(losers) != 1:
        outcome.fault = f"codes {[done.code for done in ends]}, expected 0 and 2"
    elif "run_dir" not in losers[0].errors[0]:
        outcome.fault = f"the line does not name run_dir: {losers[0].errors[0]}"
    outcome.fault = outcome.fault or differing(whole.run_dir, folder / "run")
    return outcome


def _foreign(case: int, folder: Path) -> Outcome:
    outcome = Outcome("starts", case, "a foreign process holds the lock", result="refused")
    run_dir = folder / "run"
    (run_dir / "checkpoints").mkdir(parents=True)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run_dir / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdin and holder.stdout
    holder.stdout.readline()
    before = contents(folder)
    arguments = [*ARGUMENTS, "run_dir=run"]
    refused = train(arguments, folder)
    changed = changes(before, contents(folder))
    holder.kill()
    holder.wait()
    freed = train(arguments, folder)
    outcome.fault = refused.fault or freed.fault
    if not outcome.fault and (refused.code, freed.code) != (2, 0):
        outcome.fault = f"codes {refused.code} and {freed.code}, expected 2, and 0 once it is free"
    if not outcome.fault and changed:
        outcome.fault = f"refused, but changed {changed}"
    return outcome


def _lockless(case: int, folder: Path) -> Outcome:
    outcome = Outcome("starts", case, "a file system without locks", result="refused without locks")
    (folder / "sitecustomize.py").write_text(NO_LOCKS)
    environment = {"PYTHONPATH": str(folder)}
    endless = [*NETWORK, "run_dir=run", "record.checkpoint_interval=3"]
    first = start(endless, folder, env=environment)
    while first.poll() is None and num_rows(folder / "run") < 3:
        time.sleep(0.01)
    second = train([*ARGUMENTS, "run_dir=run", "resume=auto"], folder, env=environment)
    first.kill()
    wait(first)
    third = train([*ARGUMENTS, "run_dir=run", "resume=auto"], folder, env=environment)
    outcome.fault = second.fault or third.fault
    if not outcome.fault and (second.code, third.code) != (2, 0):
        outcome.fault = f"codes {second.code} and {third.code}, expected 2, and 0 once it is free"
    return outcome


EXPERIMENT = Experiment(
    name="starts",
    promise="One process trains in a run folder: of two that start together one wins, the other "
    "ends with one line that names run_dir, and the numbers are those of a lone run.",
    how="Two processes start within 50 ms in one new folder, with and without `resume=auto`; in "
    "three cases a foreign process holds the lock, and is killed; in three a run is killed where "
    "the file system has no locks.",
    count=NUM_RACES + NUM_HELD + NUM_LOCKLESS,
    run=run,
)
