"""The health of a run: rules over its rows, live as warnings and afterwards for a diagnosis."""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path
from typing import Any, Callable, Deque, Dict, Iterator, List, Mapping, NamedTuple, Optional

from epo.config import HealthCfg
from epo.record.csv import METRICS, WARNINGS, CsvTable, is_number, number, rows
from epo.record.health_rules import RULES, History, Rule, Targets

WARNING_COLUMNS = ["iteration", "frames", "rule", "title", "evidence", "suggestion"]
COLUMNS = "health/"
"""Prefix of the columns that the rules need."""


class Finding(NamedTuple):
    """One rule that fired.

    Attributes:
        iteration, frames: when.
        rule: `H1` to `H11`.
        title: what is wrong.
        evidence: the numbers that say so.
        suggestion: what to try.
    """

    iteration: int
    frames: int
    rule: str
    title: str
    evidence: str
    suggestion: str

    def __str__(self) -> str:
        """Write it as one line."""
        when = f"iteration {self.iteration}"
        return f"{self.rule} {self.title} ({when}): {self.evidence}; {self.suggestion}"


class HealthMonitor:
    """Judge a run row by row.

    A state is reported when it was sustained, an event at once; the first updates and, for a
    while, repetitions are silent.

    Args:
        cfg: thresholds.
        targets: of the run, see `read_targets`.
    """

    def __init__(self, cfg: HealthCfg, targets: Targets) -> None:
        self.cfg = cfg
        self.history = History(cfg, targets)
        self._held: Dict[str, Deque[bool]] = {
            rule.id: deque(maxlen=cfg.sustained_of) for rule in RULES
        }
        self._reported: Dict[str, int] = {}

    def update(self, row: Mapping[str, float]) -> List[Finding]:
        """Take in the numbers of one iteration and give what is worth a warning."""
        self.history.append(row)
        findings: List[Finding] = []
        for rule in RULES:
            evidence = rule.judge(self.history)
            self._held[rule.id].append(evidence is not None)
            if evidence is not None and self._is_due(rule):
                self._reported[rule.id] = self.history.num_updates
                findings.append(_finding(rule, row, evidence))
        return findings

    def _is_due(self, rule: Rule) -> bool:
        """Return whether the rule, which holds now, may speak."""
        now = self.history.num_updates
        if now <= self.cfg.quiet_updates:
            return False
        if now - self._reported.get(rule.id, -self.cfg.repeat_updates) < self.cfg.repeat_updates:
            return False
        return rule.is_event or sum(self._held[rule.id]) >= self.cfg.sustained


class HealthWarnings:
    """Sink that judges every row, tells the user and keeps the warnings in `warnings.csv`.

    A resumed run is judged from its first row on, in silence, so that its warnings are those of
    a run that was never interrupted; `csv.truncate` comes first.

    Args:
        run_dir: folder of the run.
        cfg: thresholds.
        targets: of the run.
        say: shows one line to the user; None: nobody is there.
    """

    def __init__(
        self,
        run_dir: Path,
        cfg: HealthCfg,
        targets: Targets,
        say: Optional[Callable[[str], None]] = None,
    ) -> None:
        self._monitor = HealthMonitor(cfg, targets)
        self._table = CsvTable(run_dir / WARNINGS, WARNING_COLUMNS)
        self._say = say
        for row in read_rows(run_dir / METRICS):
            self._monitor.update(row)

    def write(self, frames: int, metrics: Mapping[str, float]) -> None:
        """Judge the row of one iteration."""
        for finding in self._monitor.update(metrics):
            self._table.append(finding._asdict())
            if self._say is not None:
                self._say(f"warning: {finding}")

    def generation(self, row: Mapping[str, Any]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Close the table."""
        self._table.close()


def read_targets(config: Mapping[str, Any]) -> Targets:
    """Find what a run aims at in its resolved configuration (plain types)."""
    algo = config.get("algo", {})
    ppo, penalty = algo.get("ppo", {}), algo.get("penalty", {})
    has_penalty = penalty.get("kind", "none") != "none"
    if ppo.get("schedule") == "adaptive":
        # Just above the floor: the recorded step size has 9 digits.
        floor = ppo["min_learning_rate"] * (1.0 + 1e-6)
        return Targets(ppo["kl_target"], floor, penalty["coef"] if has_penalty else math.inf)
    if has_penalty:
        return Targets(kl=penalty["kl_target"], coef=penalty["coef"])
    return Targets()


def read_rows(path: Path) -> Iterator[Dict[str, float]]:
    """Return the rows of a `metrics.csv` as numbers, without cells that are empty or damaged."""
    for row in rows(path):
        values = {name: number(text) for name, text in row.items() if is_number(text)}
        if {"iteration", "frames"} <= values.keys():
            yield values


def _finding(rule: Rule, row: Mapping[str, float], evidence: str) -> Finding:
    iteration, frames = int(row["iteration"]), int(row["frames"])
    return Finding(iteration, frames, rule.id, rule.title, evidence, rule.suggestion)
