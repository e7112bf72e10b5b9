"""`python -m epo diagnose RUN...`: what went wrong in a run, from its `metrics.csv`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Tuple

from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table
from rich.text import Text

from epo.cli.arguments import split
from epo.config import ConfigError, HealthCfg
from epo.program import as_typed
from epo.quoting import shell
from epo.record.csv import METRICS, header
from epo.record.health import COLUMNS, Finding, HealthMonitor, read_rows, read_targets
from epo.record.health_rules import Targets
from epo.record.progress import short
from epo.runner.flight_recorder import REPLAY, REPORT, failures
from epo.runner.nonfinite import describe
from epo.runner.run_folder import RunFolder

USAGE = """usage: python -m epo diagnose RUN [RUN...] [THRESHOLD=NUMBER...]

  RUN        run folder, or its metrics.csv
  THRESHOLD  any setting of record.health, such as sustained=5 or low_ess=0.05; the others are
             those of the run
"""


class Diagnosis(NamedTuple):
    """What the rules say of a run.

    Attributes:
        num_updates: rows that were judged.
        num_columns: health columns in them; without any the rules see little.
        findings: in the order of time.
    """

    num_updates: int
    num_columns: int
    findings: List[Finding]


def main(arguments: Sequence[str]) -> None:
    """Judge the runs and print what was found.

    Raises:
        ConfigError: if a run has no metrics, or a threshold is no number.
    """
    changes = [word for word in arguments if "=" in word and not Path(word).exists()]
    paths = [Path(word) for word in arguments if word not in changes]
    if not paths or {"-h", "--help"} & set(arguments):
        print(as_typed(USAGE), end="")
        return
    console = Console()
    for path in paths:
        folder = path.parent if path.is_file() else path
        written = failures(folder)
        for failure in written:
            console.print(failed(failure), markup=False, highlight=False, soft_wrap=True)
        metrics = path if path.is_file() else path / METRICS
        if not written or header(metrics):  # it may have failed before its first row
            show(console, folder, diagnose(metrics, changes))


def diagnose(metrics: Path, changes: Sequence[str] = ()) -> Diagnosis:
    """Replay the rules over a table of metrics.

    Args:
        metrics: the table; thresholds and targets are read from `config.yaml` beside it.
        changes: `name=value` for other thresholds than the run's.

    Raises:
        ConfigError: if there is no table, or a change is none of a threshold.
    """
    columns = header(metrics)
    if not columns:
        raise ConfigError("run", metrics.parent, f"there is no {METRICS}; name a run folder")
    thresholds, targets = settings_of(metrics.parent)
    thresholds, unknown = split(changes, thresholds)
    if unknown:
        name, _, value = unknown[0].partition("=")
        way_out = f"is not a threshold; choose from {', '.join(vars(thresholds))}"
        raise ConfigError(name, value, way_out)
    monitor, findings = HealthMonitor(thresholds, targets), []
    for row in read_rows(metrics):
        findings += monitor.update(row)
    num_columns = sum(name.startswith(COLUMNS) for name in columns)
    return Diagnosis(monitor.history.num_updates, num_columns, findings)


def failed(folder: Path) -> str:
    """Say in a paragraph what the flight recorder wrote down about a failure."""
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        first = report["first"]
        lines = [f"{folder}: iteration {report['iteration']} failed in {report['phase']}"]
        lines.append(f"  {report['error']}")
        lines += [f"  first, {describe(first)}"] if first else []
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{folder}: {REPORT} is damaged ({error})"
    return "\n".join([*lines, f"  repeat it     sh {shell([str(folder / REPLAY)])}"])


def settings_of(run_dir: Path) -> Tuple[HealthCfg, Targets]:
    """Read a run's thresholds and targets; defaults where it has none."""
    config = RunFolder(run_dir).read_config() or {}
    known = vars(HealthCfg())
    saved: Dict[str, object] = config.get("record", {}).get("health") or {}
    thresholds = OmegaConf.structured(HealthCfg)
    thresholds.update({name: value for name, value in saved.items() if name in known})
    return OmegaConf.to_object(thresholds), read_targets(config)  # type: ignore[return-value]


def show(console: Console, folder: Path, diagnosis: Diagnosis) -> None:
    """Print what was found in one run: a table, or one line."""
    found = f"{folder}: {diagnosis.num_updates:,} updates"
    if not diagnosis.num_columns:
        found += " (without health columns: algo.diagnostics was off, few rules can judge)"
    if not diagnosis.findings:
        console.print(f"{found}, no rule fired", markup=False, highlight=False, soft_wrap=True)
        return
    counts = Counter(f"{finding.rule} {finding.title}" for finding in diagnosis.findings)
    summary = ", ".join(f"{name} ({count}×)" for name, count in counts.most_common())
    console.print(f"{found}; {summary}", markup=False, highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    table.add_column("iteration", justify="right", no_wrap=True)
    table.add_column("frames", justify="right", no_wrap=True)
    for name in ("what", "why", "try"):
        table.add_column(name)
    for finding in diagnosis.findings:
        what = f"{finding.rule} {finding.title}"
        when = (f"{finding.iteration:,}", short(finding.frames))
        table.add_row(*when, what, Text(finding.evidence), Text(finding.suggestion))
    console.print(table)
