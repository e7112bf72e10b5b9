"""The verb: examine the machine, print one table, or JSON for an issue report."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Dict, List, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from epo.cli import arguments, environment
from epo.cli.doctor import gpu, machine, tracking
from epo.cli.doctor.finding import BAD, OFF, OK, Check, Finding, examine
from epo.config import ConfigError
from epo.program import as_typed

USAGE = """usage: python -m epo doctor [json=true]

Looks at Python, torch, GPU, engines, drawing, cores, memory, disk and W&B. A red line says what to
do. Exit code 1 if there is one.

  json   print it as JSON, for an issue report
"""
STYLES: Dict[str, str] = {OK: "green", OFF: "dim", BAD: "bold red"}


@dataclass
class Options:
    """`USAGE` explains the fields."""

    json: bool = False


def main(words: Sequence[str]) -> None:
    """Examine the machine; the process ends with code 1 if something is bad.

    Raises:
        ConfigError: at an unknown argument.
    """
    if any(word in ("-h", "--help") for word in words):
        print(as_typed(USAGE), end="")
        return
    options, unknown = arguments.split(words, Options())
    if unknown:
        name, _, value = unknown[0].partition("=")
        raise ConfigError(name, value, "unknown; the only option is json=true")
    findings = examine([*machine.CHECKS, *gpu.CHECKS, *engines(), *tracking.CHECKS])
    if options.json:
        print(json.dumps([finding._asdict() for finding in findings], indent=1))
    else:
        show(Console(), findings)
    if any(finding.state == BAD for finding in findings):
        sys.exit(1)


def engines() -> List[Check]:
    """Ask the tasks what works."""

    def as_check(check: environment.ReadinessCheck) -> Check:
        def run() -> Finding:
            ready = check()
            state = OFF if ready.is_ready is None else OK if ready.is_ready else BAD
            return Finding(ready.name, state, ready.found, ready.fix)

        run.__name__ = check.__name__
        return run

    return [as_check(check) for check in environment.readiness_checks()]


def show(console: Console, findings: Sequence[Finding]) -> None:
    """Print a row for every finding, and how many need something."""
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for column in ("what", "found", "fix"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        cells = [Text(text) for text in (finding.name, finding.found, finding.fix)]
        table.add_row(Text(finding.state, STYLES[finding.state]), *cells)
    console.print(table)
    num_bad = sum(finding.state == BAD for finding in findings)
    console.print(f"{num_bad} to fix" if num_bad else "nothing to fix", highlight=False)
