"""Checkpoints that are cut off, have flipped bytes, or carry code."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import zipfile
from pathlib import Path
from typing import Any, Callable, Dict, Tuple

import torch

from epo.config import ConfigError
from epo.runner import checkpoint
from tests.stress.command import NETWORK, changes, contents, differing, train
from tests.stress.experiment import Experiment, Outcome
from tests.stress.forks import fork
from tests.stress.reference import reference

ARGUMENTS = (*NETWORK, "max_iterations=4", "record.checkpoint_interval=2")
LONGER = (*NETWORK, "max_iterations=6", "record.checkpoint_interval=2")


class Evil:
    """An object whose pickle creates a file when it is read."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> Tuple[Any, Tuple[Any, ...]]:
        return self._call


def truncate(path: Path, draw: random.Random) -> str:
    """Cut the file off at a random byte, the empty file included."""
    size = draw.randrange(path.stat().st_size)
    path.write_bytes(path.read_bytes()[:size])
    return f"cut off after {size} bytes"


def flip(path: Path, draw: random.Random) -> str:
    """Flip one to eight random bits; the padding between the members of the archive is left out."""
    whole = path.read_bytes()
    expected = checkpoint.load(path)
    while True:
        data = bytearray(whole)
        places = [draw.randrange(len(data)) for _ in range(draw.randint(1, 8))]
        for place in places:
            data[place] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(data))
        if not _is_unharmed(path, expected):
            return f"{len(places)} flipped bits, the first in byte {places[0]}"


def carry_code(path: Path, draw: random.Random, marker: Path) -> str:
    """Replace the file by one that would create `marker` when it is unpickled carelessly."""
    evil = draw.choice(
        [
            Evil(os.system, f"touch '{marker}'"),
            Evil(eval, f"open({str(marker)!r}, 'w')"),
            Evil(Path.touch, marker),
            Evil(shutil.copyfile, str(path), str(marker)),
        ]
    )
    content: Dict[str, Any] = torch.load(str(path), weights_only=True)
    way = draw.choice(["bare pickle", "inside the state", "legacy format", "inside the archive"])
    if way == "bare pickle":
        path.write_bytes(pickle.dumps(evil))
    elif way == "inside the archive":
        _replace_member(path, pickle.dumps(evil, protocol=2))
    else:
        content["state"]["iteration"] = evil
        torch.save(content, str(path), _use_new_zipfile_serialization=way != "legacy format")
    return f"code as {way}"


KINDS = {"truncated": 20, "flipped": 20, "malicious": 20}
"""Kinds of damage and how many cases of each there are."""
WAYS = ("checkpoint=", "resume=, all damaged", "resume=, the one before is sound")
"""Uses of a damaged checkpoint: the last one is no refusal, the run goes back by itself."""


def run(case: int, folder: Path) -> Outcome:
    """Damage the checkpoints of a run, then continue it or start from them, in turn."""
    draw = random.Random(case)
    kind, way = _kind(case), WAYS[case % len(WAYS)]
    marker = folder / "executed"
    run_dir = folder / "run"
    shutil.copytree(reference(ARGUMENTS, folder.parent).run_dir, run_dir)
    paths = sorted((run_dir / "checkpoints").glob("last*.pt"))  # last-1.pt, last.pt
    damaged = paths if way == WAYS[1] else paths[-1:]
    labels = [_damage(path, kind, draw, marker) for path in damaged]
    outcome = Outcome("checkpoints", case, f"{'; '.join(labels)}; {way}", result=f"{kind}, {way}")
    before = contents(folder)
    last = "checkpoint=run/checkpoints/last.pt"
    use = [last, "run_dir=new"] if way == WAYS[0] else ["resume=run"]
    done = (train if case % 10 == 0 else fork)([*LONGER, *use], folder)
    outcome.fault = done.fault
    if marker.exists():
        outcome.fault = "its code was executed"
    elif way == WAYS[2]:
        outcome.fault = outcome.fault or (f"code {done.code}" if done.code else "")
        whole = reference(LONGER, folder.parent)
        outcome.fault = outcome.fault or differing(whole.run_dir, run_dir)
    elif not outcome.fault and done.code != 2:
        outcome.fault = f"not refused: code {done.code}"
    elif not outcome.fault:
        changed = changes(before, contents(folder))
        outcome.fault = f"refused, but changed {changed}" if changed else ""
    return outcome


def _damage(path: Path, kind: str, draw: random.Random, marker: Path) -> str:
    if kind == "malicious":
        return carry_code(path, draw, marker)
    return {"truncated": truncate, "flipped": flip}[kind](path, draw)


def _kind(case: int) -> str:
    for kind, number in KINDS.items():
        if case < number:
            return kind
        case -= number
    raise ValueError(case)


def _is_unharmed(path: Path, expected: Dict[str, Any]) -> bool:
    """Tell whether the flips hit bytes that mean nothing: then the file may be accepted."""
    try:
        found = checkpoint.load(path)
    except ConfigError:
        return False
    return _equal(found, expected)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(
            one.nan_to_num(nan=7.0), other.nan_to_num(nan=7.0)
        )
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_equal, one, other))
    return one == other or (one != one and other != other)


def _replace_member(path: Path, data: bytes) -> None:
    """Write the archive anew with `data` in the place of its pickle; all check sums fit."""
    with zipfile.ZipFile(path) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for info, old in members:
            archive.writestr(info.filename, data if info.filename.endswith("data.pkl") else old)


EXPERIMENT = Experiment(
    name="checkpoints",
    promise="A damaged or malicious checkpoint is refused in one line, and no byte of the run "
    "folder changes; where the checkpoint before it is sound, the run goes back to that one, with "
    "the numbers of an undisturbed run. Nothing in it is ever executed.",
    how="last.pt, or all checkpoints of the run, cut off at a random byte, with one to eight "
    "flipped bits, or replaced by a pickle that would create a file; then `checkpoint=` or "
    "`resume=`. Every file of a refused command is compared by its hash.",
    count=sum(KINDS.values()),
    run=run,
)
