"""`python -m tests.stress [experiment ...]`: run what is not finished, then write the page.

Finished cases are kept in `runs/stress/results.jsonl`, so an interrupted session goes on where it
stopped. They count for the commit that ran them; `--any-commit` keeps older ones as well.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import List, Optional, Tuple

from epo.validation import granted_cores
from tests.composed import REPOSITORY
from tests.stress import checkpoints, disks, kills, overrides, page, soak, starts
from tests.stress.experiment import Experiment, Outcome, Results

EXPERIMENTS = tuple(
    module.EXPERIMENT for module in (soak, kills, checkpoints, starts, disks, overrides)
)
"""The longest one first: the others run beside it."""
FOLDER = REPOSITORY / "runs" / "stress"


def main(arguments: List[str]) -> int:
    """Return 0 if every promise held, 1 if one was broken."""
    options = _parse(arguments)
    FOLDER.mkdir(parents=True, exist_ok=True)
    commit = _commit()
    results = Results(FOLDER / "results.jsonl", None if options.any_commit else commit)
    chosen = [x for x in EXPERIMENTS if not options.names or x.name in options.names]
    todo = [
        (experiment, case)
        for experiment in chosen
        for case in _cases(experiment, options.cases)
        if options.again or not results.has(experiment.name, case)
    ]
    _run_all(todo, results, commit, options.jobs)
    if not options.no_page:
        page.write(EXPERIMENTS, results, REPOSITORY / "docs" / "reliability.md")
    faults = [x for one in chosen for x in results.of(one.name) if x.fault]
    for outcome in faults:
        print(f"{outcome.experiment} {outcome.case}: {outcome.fault}\n    {outcome.label}")
    print(f"{sum(len(results.of(one.name)) for one in chosen)} cases, {len(faults)} faults")
    return 1 if faults else 0


def _cases(experiment: Experiment, most: Optional[int]) -> List[int]:
    """Return the cases to run: all, or the same random ones every time."""
    cases = range(experiment.count)
    if most is None or most >= experiment.count:
        return list(cases)
    return sorted(random.Random(0).sample(cases, most))


def _run_all(todo: List[Tuple[Experiment, int]], results: Results, commit: str, jobs: int) -> None:
    work = FOLDER / "work"
    shutil.rmtree(work, ignore_errors=True)
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(_run, experiment, case, work) for experiment, case in todo]
        try:
            for number, future in enumerate(as_completed(futures), 1):
                outcome = replace(future.result(), commit=commit)
                if _commit() != commit:
                    pool.shutdown(wait=False, cancel_futures=True)
                    sys.exit(f"error: the code changed while {commit} was tested; start again")
                results.add(outcome)
                state = f"FAULT: {outcome.fault}" if outcome.fault else outcome.result
                print(
                    f"[{number}/{len(todo)}] {outcome.experiment} {outcome.case}: {state} "
                    f"({outcome.seconds:.1f} s)",
                    flush=True,
                )
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _run(experiment: Experiment, case: int, work: Path) -> Outcome:
    """Run a case in an empty folder that is removed again if the promise held."""
    folder = work / experiment.name / str(case)
    folder.mkdir(parents=True)
    begin = time.monotonic()
    try:
        outcome = experiment.run(case, folder)
    # A broken experiment is a fault of its own, and no reason to lose the others.
    except Exception:
        outcome = Outcome(experiment.name, case, "the experiment itself")
        outcome.fault = traceback.format_exc().strip().splitlines()[-1]
    if not outcome.fault:
        shutil.rmtree(folder, ignore_errors=True)
    return replace(outcome, seconds=time.monotonic() - begin)


def _parse(arguments: List[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.stress", description=__doc__)
    names = [experiment.name for experiment in EXPERIMENTS]
    parser.add_argument("names", nargs="*", metavar="experiment", help=", ".join(names))
    parser.add_argument("--cases", type=int, help="only so many of each, drawn at random")
    parser.add_argument("--jobs", type=int, default=granted_cores(), help="at the same time")
    parser.add_argument("--again", action="store_true", help="run finished cases again")
    parser.add_argument("--any-commit", action="store_true", help="keep cases of other commits")
    parser.add_argument("--no-page", action="store_true", help="leave docs/reliability.md alone")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(names)
    if unknown:
        parser.error(f"unknown experiment {', '.join(sorted(unknown))}; use {', '.join(names)}")
    return options


def _commit() -> str:
    """Name the code that runs: the commit, and whether something is not committed."""
    git = ["git", "-C", str(REPOSITORY)]
    commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    status = subprocess.run(
        [*git, "status", "--porcelain", "--", "epo", "tasks", "cfg", "tests", "train.py"],
        capture_output=True,
        text=True,
    )
    return commit.stdout.strip() + ("+" if status.stdout.strip() else "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
