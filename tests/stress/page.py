"""docs/reliability.md: promises, how each is tested, and the figures; written by the command."""

from __future__ import annotations

import platform
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import List, Sequence, Tuple

from epo.validation import granted_cores
from tests.stress.experiment import Experiment, Outcome, Results

INTRODUCTION = """\
# Reliability

Written by `make stress`, not by hand: what we promise, what tests it, and what came out.
Experiments run the real `train.py`; their code is `tests/stress/`. `make test` holds the same
promises case by case in the test files named here.
"""
PROMISES: Tuple[Tuple[str, str, str], ...] = (
    (
        "A run that was killed goes on with the numbers of one that was never interrupted.",
        "tests/integration/test_resume.py tests/runner/test_run.py",
        "kills",
    ),
    (
        "A mistake on the command line is one line: the setting, its value, the way out.",
        "tests/integration/test_command_errors.py tests/test_validation.py",
        "overrides",
    ),
    (
        "A refused command leaves every byte as it was.",
        "tests/runner/test_start.py tests/runner/test_run_folder.py tests/runner/test_malformed.py",
        "checkpoints",
    ),
    (
        "A damaged, foreign or malicious checkpoint is refused; nothing in it is executed.",
        "tests/runner/test_checkpoint.py",
        "checkpoints",
    ),
    (
        "One process trains in a run folder.",
        "tests/runner/test_run_folder.py",
        "starts",
    ),
    (
        "Nothing that writes or prints ends a run.",
        "tests/record/test_guarded.py tests/record/test_csv.py tests/test_terminal.py",
        "disks",
    ),
    (
        "Nothing non-finite is saved: the run stops, and names the quantity.",
        "tests/runner/test_finite.py tests/runner/test_guard.py",
        "",
    ),
    (
        "Every number has a range, and a value outside it is one line.",
        "tests/config/test_rules.py tests/config/test_sizes.py tests/tasks/test_config.py",
        "overrides",
    ),
    (
        "A printed command runs as it stands, whatever the run folder is called.",
        "tests/test_quoting.py",
        "",
    ),
    (
        "Foreign code, such as an environment, cannot lose a run: one line names it, and what "
        "was learned is saved.",
        "tests/tasks/gymnasium/test_foreign.py tests/tasks/gymnasium/test_workers.py",
        "",
    ),
    (
        "What ends an iteration is recorded, so that someone else can repeat it.",
        "tests/runner/test_flight_recorder.py tests/runner/test_nonfinite.py",
        "",
    ),
    (
        "A long run does not fill the machine: memory, open files, threads and processes.",
        "tests/test_memory.py",
        "soak",
    ),
    (
        "A signal saves and ends the run with its own exit code.",
        "tests/runner/test_guard.py tests/integration/test_resume.py",
        "",
    ),
    (
        "Secrets do not enter what a run records.",
        "tests/test_redact.py",
        "",
    ),
)
"""Promise, test files that hold it, experiment that stresses it (or none)."""
PACKAGES = ("torch", "numpy", "mujoco", "gymnasium", "hydra-core")
MAX_FAULTS = 20
"""Faults shown of one experiment."""


def write(experiments: Sequence[Experiment], results: Results, path: Path) -> None:
    """Write the page from all finished cases."""
    parts = [INTRODUCTION, _promises(), _figures(experiments, results)]
    parts += [_section(experiment, results.of(experiment.name)) for experiment in experiments]
    path.write_text("\n".join(parts), encoding="utf-8")


def _promises() -> str:
    lines = ["## What we promise", "", "| promise | tests | experiment |", "| --- | --- | --- |"]
    for promise, tests, experiment in PROMISES:
        files = ", ".join(f"`{name}`" for name in tests.split())
        lines.append(f"| {promise} | {files} | {experiment or '-'} |")
    return "\n".join(lines) + "\n"


def _figures(experiments: Sequence[Experiment], results: Results) -> str:
    lines = ["## Figures", "", _machine(), "", "    make stress", ""]
    lines += ["| experiment | cases | promise broken | commit | time of all cases |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    for experiment in experiments:
        outcomes = results.of(experiment.name)
        commits = ", ".join(sorted({outcome.commit for outcome in outcomes}))
        minutes = sum(outcome.seconds for outcome in outcomes) / 60.0
        lines.append(
            f"| [{experiment.name}](#{experiment.name}) | {len(outcomes)} of {experiment.count} | "
            f"{sum(bool(outcome.fault) for outcome in outcomes)} | {commits or '-'} | "
            f"{minutes:.1f} min |"
        )
    return "\n".join(lines) + "\n"


def _machine() -> str:
    found = [f"{name} {_version(name)}" for name in PACKAGES]
    return (
        f"{granted_cores()} cores of {_processor()}, no GPU used; {platform.system()} "
        f"{platform.release()}, Python {sys.version.split()[0]}, {', '.join(found)}. Other work "
        "may have run beside it: no figure here is one of speed."
    )


def _section(experiment: Experiment, outcomes: List[Outcome]) -> str:
    held = [outcome for outcome in outcomes if not outcome.fault]
    faults = [outcome for outcome in outcomes if outcome.fault]
    lines = [f"## {experiment.name}", "", experiment.promise, "", experiment.how, ""]
    if not outcomes:
        return "\n".join([*lines, "Not run yet.", ""])
    counts = Counter(outcome.result for outcome in held if outcome.result)
    parts = [f"{count} × {result}" for result, count in counts.most_common()]
    lines += [f"{len(held)} of {len(outcomes)} held" + (f": {'; '.join(parts)}." if parts else ".")]
    lines += ["", *experiment.summary(outcomes), ""]
    if faults:
        lines += ["Broken:", ""]
        lines += [
            f"- case {outcome.case}: {_plain(outcome.fault)} (`{_plain(outcome.label)}`)"
            for outcome in faults[:MAX_FAULTS]
        ]
        if len(faults) > MAX_FAULTS:
            lines.append(f"- and {len(faults) - MAX_FAULTS} more")
        lines.append("")
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Keep foreign text from becoming markup."""
    return " ".join(text.replace("`", "'").replace("|", "/").split())


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "(absent)"


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    text = path.read_text() if path.is_file() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.processor() or "an unknown processor"
