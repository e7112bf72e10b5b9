"""A checkpoint in parts that travel: everything learned, without the worlds it was learned in.

With 24,576 environments the memories of the LSTM and the worlds are three quarters of a
checkpoint. They are left out: the run continues with new episodes, whose curriculum is kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

from epo.runner import checkpoint

PART_BYTES = 15 * 2**20
WORLDS = ("collector", "env", "tracker")
"""What belongs to the present episodes."""
CURRICULUM = "curriculum"


def slim(state: Dict[str, Any]) -> Dict[str, Any]:
    """Leave the present episodes out of a run's state."""
    kept = {name: value for name, value in state.items() if name not in WORLDS}
    return {**kept, CURRICULUM: state["env"].get(CURRICULUM)}


def renewed(fresh: Dict[str, Any], kept: Dict[str, Any]) -> Dict[str, Any]:
    """Put what `slim` kept into the state of a run that has just started."""
    state = {**fresh, **kept}
    learned = state.pop(CURRICULUM)
    if learned is not None:
        state["env"] = {**fresh["env"], CURRICULUM: learned}
    return state


def write(folder: Path, name: str, state: Dict[str, Any]) -> List[Path]:
    """Write a state to `<name>.00`, `<name>.01`, ...; older parts are removed.

    Raises:
        CheckpointError: if it cannot be written.
    """
    whole = folder / f"{name}.whole"
    checkpoint.save(whole, state)
    content = whole.read_bytes()
    whole.unlink()
    for old in found(folder, name):
        old.unlink()
    parts = []
    for number, begin in enumerate(range(0, len(content), PART_BYTES)):
        parts.append(folder / f"{name}.{number:02d}")
        parts[-1].write_bytes(content[begin : begin + PART_BYTES])
    return parts


def found(folder: Path, name: str) -> List[Path]:
    """List the parts that are there, in their order."""
    return sorted(folder.glob(f"{name}.[0-9][0-9]"))


def read(folder: Path, name: str) -> Dict[str, Any]:
    """Join the parts and give the state.

    Raises:
        CheckpointError: if one is missing or damaged.
    """
    whole = folder / f"{name}.whole"
    whole.write_bytes(b"".join(part.read_bytes() for part in found(folder, name)))
    try:
        return checkpoint.load(whole)
    finally:
        whole.unlink()
