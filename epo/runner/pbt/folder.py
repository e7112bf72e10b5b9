"""The folder through which members in separate processes exchange their state.

`<folder>/<member>/<iteration>.json` is a record, `.pt` beside it what the member was then. Both are
written under another name first, the record last: a reader finds complete pairs, or none.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from epo.config import ConfigError
from epo.population.pbt import Settings
from epo.record.files import atomic_write, write_text
from epo.runner import checkpoint

MAX_AGE = 20
"""Comparisons that a record is kept for after the slowest member has passed it."""
MAX_RECORDS, NUM_NEWEST = 25, 10
"""Records that a member keeps at most, and how many of the newest always."""
NUM_BEST = 6
"""Copies of the best of the population that every member keeps."""


class Record(NamedTuple):
    """What a member was when it had trained for `iteration` intervals.

    Attributes:
        member: its index.
        iteration: number of the comparison.
        objective: task units.
        frames: its own frames.
        settings: its mutable settings.
    """

    member: int
    iteration: int
    objective: float
    frames: int
    settings: Settings


class SharedFolder:
    """Records of all members; every process writes and deletes those of its own member only.

    Args:
        path: the folder.
        member: index of this process's member.
        num_members: P.
    """

    def __init__(self, path: Path, member: int, num_members: int) -> None:
        self.path = path
        self.member = member
        self.num_members = num_members
        self._own = self._folder(member)
        self._best = self._own / "best"

    def check_owner(self, run_dir: Optional[str]) -> None:
        """Refuse a member of another run; nothing is written.

        Args:
            run_dir: of the run that wants it; None: a new run without a folder yet.

        Raises:
            ConfigError: if it belongs to another run.
        """
        with suppress(OSError):
            found = (self._own / "run.txt").read_text(encoding="utf-8")
            if run_dir is None or found != str(Path(run_dir).resolve()):
                raise self._taken(found)

    def claim(self, run_dir: Path) -> None:
        """Take the member for the run in `run_dir`, for good.

        Raises:
            ConfigError: if it belongs to another run, or the folder cannot be written.
        """
        owner, name = self._own / "run.txt", str(run_dir.resolve())
        try:
            self._best.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError), open(owner, "x", encoding="utf-8") as file:
                file.write(name)
            found = owner.read_text(encoding="utf-8")
        except OSError as error:
            way_out = f"cannot be written ({error.strerror}); choose another folder"
            raise ConfigError("algo.pbt.folder", self.path, way_out) from error
        if found != name:
            raise self._taken(found)

    def clear(self) -> None:
        """Delete the own records that an earlier start of this run left."""
        for path in self._own.glob("*.*"):
            if path.suffix in (".json", ".pt", ".tmp"):
                path.unlink()

    def write(self, record: Record, state: Dict[str, Any]) -> None:
        """Leave a record of the own member and its `state`.

        Raises:
            OSError, CheckpointError: if it cannot be written.
        """
        path = self._own / f"{record.iteration:08d}.json"
        checkpoint.save(path.with_suffix(".pt"), state)
        write_text(path, json.dumps(record._asdict()) + "\n")

    def read(self, record: Record) -> Dict[str, Any]:
        """Return the state that belongs to a record.

        Raises:
            CheckpointError: if it is not there any more, or damaged.
        """
        return checkpoint.load(self.state_path(record))

    def newest(self, iteration: int) -> Dict[int, Record]:
        """Return each member's newest readable record that is not younger than `iteration`."""
        found = {m: self._newest_of(m, iteration) for m in range(self.num_members)}
        return {m: record for m, record in found.items() if record is not None}

    def keep_best(self, record: Record, iteration: int) -> None:
        """Keep an own copy of the best member's state, and the newest few of such copies.

        Raises:
            OSError: if it cannot be read or written.
        """
        path = self._best / f"{iteration:08d}_member{record.member:02d}.pt"
        with open(self.state_path(record), "rb") as source, atomic_write(path) as target:
            shutil.copyfileobj(source, target)
        for old in sorted(self._best.glob("*.pt"))[:-NUM_BEST]:
            old.unlink()

    def tidy(self) -> None:
        """Delete own records that nobody needs any more, and what killed processes left.

        Raises:
            OSError: if it cannot be deleted.
        """
        per_member = [self._iterations(m) for m in range(self.num_members)]
        slowest = min((max(found) for found in per_member if found), default=0)
        for iteration in superfluous(per_member[self.member], slowest):
            path = self._own / f"{iteration:08d}.json"
            path.unlink()
            path.with_suffix(".pt").unlink()
        for path in self._own.glob("*.tmp"):
            path.unlink()

    def state_path(self, record: Record) -> Path:
        """Return the file of the state that belongs to a record."""
        return self._folder(record.member) / f"{record.iteration:08d}.pt"

    def _taken(self, run: str) -> ConfigError:
        owner = self._own / "run.txt"
        way_out = f"{owner} says that it is the run {run}; give every process another member"
        return ConfigError("algo.pbt.member", self.member, f"{way_out}, or remove that file")

    def _folder(self, member: int) -> Path:
        return self.path / f"{member:02d}"

    def _iterations(self, member: int) -> List[int]:
        """Return the numbers of a member's records, ascending."""
        names = (path.stem for path in self._folder(member).glob("*.json"))
        return sorted(int(name) for name in names if name.isdigit())

    def _newest_of(self, member: int, iteration: int) -> Optional[Record]:
        for number in reversed(self._iterations(member)):
            if number <= iteration:
                path = self._folder(member) / f"{number:08d}.json"
                # Deleted meanwhile, or damaged: an older one will do.
                with suppress(OSError, ValueError, TypeError):
                    return Record(**json.loads(path.read_text(encoding="utf-8")))
        return None


def superfluous(iterations: Sequence[int], slowest: int) -> List[int]:
    """Choose the records to delete.

    Args:
        iterations: numbers of a member's records, ascending.
        slowest: newest record of the member that is furthest behind.

    Returns:
        Those too old for everybody; of the rest those beyond the most that are kept, which leave
        the smallest gaps.
    """
    kept = list(iterations)
    needed = max((i for i in kept if i <= slowest), default=slowest)
    kept = [i for i in kept if i >= min(slowest - MAX_AGE, needed)]
    while len(kept) > MAX_RECORDS:
        inner = range(1, len(kept) - NUM_NEWEST)
        del kept[min(inner, key=lambda i: kept[i + 1] - kept[i - 1])]
    return [i for i in iterations if i not in kept]
