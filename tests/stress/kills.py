"""kill -9 at random moments, then `resume=auto`."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import List, Optional

from tests.stress.command import NETWORK, PHYSICS, differing, num_rows, start, train, wait
from tests.stress.experiment import Experiment, Outcome
from tests.stress.forks import fork
from tests.stress.reference import Reference, reference

ITERATIONS = 24
EARLY = 0.2
"""Share of first kills that come before the first iteration ends."""
FLAVOURS = {
    "network": (*NETWORK, f"max_iterations={ITERATIONS}", "record.checkpoint_interval=3"),
    "physics": (*PHYSICS, f"max_iterations={ITERATIONS}", "record.checkpoint_interval=3"),
}


def run(case: int, folder: Path) -> Outcome:
    """Kill a run once, every third one twice, and let it end; compare with an undisturbed one."""
    flavour = "physics" if case % 2 else "network"
    arguments = FLAVOURS[flavour]
    whole = reference(arguments, folder.parent)
    draw = random.Random(case)
    outcome = Outcome("kills", case, f"{flavour}, killed", result=flavour)
    killed_at: List[int] = []
    for _ in range(2 if case % 3 == 2 else 1):
        if killed_at and killed_at[-1] > ITERATIONS - 3:
            break
        rows = _kill([*arguments, "run_dir=run", "resume=auto"], folder, whole, draw)
        if rows is None:
            outcome.fault = "ended by itself before the kill"
            return outcome
        killed_at.append(rows)
    outcome.figures["rows_at_kill"] = killed_at
    outcome.label += " after " + ", then ".join(f"{rows} rows" for rows in killed_at)
    resume = train if case % 5 == 0 else fork
    done = resume([*arguments, "run_dir=run", "resume=auto"], folder)
    outcome.fault = done.fault or (f"code {done.code}: {done.errors}" if done.code else "")
    outcome.fault = outcome.fault or differing(whole.run_dir, folder / "run")
    left = [path.name for path in folder.rglob("*.tmp*")]
    if left and not outcome.fault:
        outcome.fault = f"left behind: {', '.join(left)}"
    return outcome


def _kill(
    arguments: List[str], folder: Path, whole: Reference, draw: random.Random
) -> Optional[int]:
    """Kill in a random iteration at a random moment; before the first row: while it starts.

    Returns:
        Complete rows of metrics.csv at that moment; None if the run ended by itself before.
    """
    run_dir = folder / "run"
    # A resumed run drops the rows behind its checkpoint: only more than before are new ones.
    rows_before = num_rows(run_dir)
    is_early = not rows_before and draw.random() < EARLY
    target = 0 if is_early else draw.randint(rows_before + 1, ITERATIONS - 2)
    process = start(arguments, folder)
    while process.poll() is None and num_rows(run_dir) < target:
        time.sleep(0.002)
    time.sleep(draw.random() * (whole.iteration_s if target else whole.first_row_s))
    process.kill()
    return None if wait(process).code == 0 else num_rows(run_dir)


def _summary(outcomes: List[Outcome]) -> List[str]:
    rows = [row for outcome in outcomes for row in outcome.figures.get("rows_at_kill", [])]
    if not rows:
        return []
    early = sum(row == 0 for row in rows)
    return [
        f"{len(rows)} kills, {early} of them before the first iteration was recorded, the others "
        f"after {min(row for row in rows if row)} to {max(rows)} of {ITERATIONS} iterations."
    ]


EXPERIMENT = Experiment(
    name="kills",
    promise="A run that was killed goes on with `resume=auto`, and every number it records and "
    "every weight is that of a run that was never interrupted.",
    how="`kill -9` at a random moment of a random iteration (every third run twice), then "
    "`resume=auto`; half of the runs on MuJoCo. All columns of metrics.csv and generations.csv but "
    "times, and all weights, must be equal to the bit.",
    count=30,
    run=run,
    summary=_summary,
)
