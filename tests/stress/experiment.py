"""What every experiment is made of: numbered cases, and what became of each."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional


@dataclass
class Outcome:
    """What became of a case.

    Attributes:
        experiment: name of the experiment.
        case: its number, which is its seed too.
        label: what was done, in words.
        fault: what broke the promise; empty: it held.
        result: in which way it held, for the counts.
        figures: numbers measured.
        seconds: wall-clock time of the case, s.
        commit: of the code that ran.
    """

    experiment: str
    case: int
    label: str
    fault: str = ""
    result: str = ""
    figures: Dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    commit: str = ""


class Experiment(NamedTuple):
    """A promise under stress.

    Attributes:
        name: as on the command line.
        promise: what must hold, one sentence.
        how: what a case does, one sentence or two.
        count: number of cases.
        run: runs a case in an empty folder.
        summary: turns outcomes into lines of Markdown beyond the counts.
    """

    name: str
    promise: str
    how: str
    count: int
    run: Callable[[int, Path], Outcome]
    summary: Callable[[List[Outcome]], List[str]] = lambda outcomes: []


class Results:
    """Finished cases, one JSON object a line; a later line of the same case counts.

    Args:
        path: the file; it need not exist.
        commit: of the code that runs now, None: cases of any commit count as finished.
    """

    def __init__(self, path: Path, commit: Optional[str]) -> None:
        self.path = path
        self._commit = commit
        self._lock = threading.Lock()
        self._outcomes: Dict[Any, Outcome] = {}
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        for line in lines:
            self._keep(Outcome(**json.loads(line)))

    def add(self, outcome: Outcome) -> None:
        """Remember a case, also beyond the end of this process."""
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")
            self._keep(outcome)

    def of(self, experiment: str) -> List[Outcome]:
        """Return the outcomes of an experiment in the order of their cases."""
        found = [x for x in self._outcomes.values() if x.experiment == experiment]
        return sorted(found, key=lambda outcome: outcome.case)

    def has(self, experiment: str, case: int) -> bool:
        """Tell whether a case is finished."""
        return (experiment, case) in self._outcomes

    def _keep(self, outcome: Outcome) -> None:
        if self._commit in (None, outcome.commit):
            self._outcomes[outcome.experiment, outcome.case] = outcome
