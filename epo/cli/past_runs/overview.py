"""What is known of a run without loading a checkpoint: the ends of its tables, its lock."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional

from epo.config import ConfigError
from epo.record.csv import WARNINGS, last_row, number
from epo.runner.run_folder import FOLDERS, STATUSES, RunFolder

RUNNING, DIED = "running", "died"
STATES = (RUNNING, *STATUSES, DIED)
"""`running`: a process holds the folder; `died`: nobody said how the run ended."""
NO_RUNS_IN = {*FOLDERS, "failure"}
"""Folders of a run that look like runs, or are large."""


class Overview(NamedTuple):
    """One run in a table.

    Attributes:
        path: its folder.
        state: one of `STATES`.
        task, algo: what is trained, and how; the environment's name for Gymnasium.
        seed: of the run; None: unknown.
        tags: `record.tags`.
        iteration, frames, wall_s: how far it came.
        fps: frames per second of its last iteration; NaN before the first.
        fitness, episode_return, success: of the leader in the last iteration; NaN: unknown.
        warning: title of the last health warning; empty: none.
        error: what it failed with; empty: it did not.
    """

    path: Path
    state: str
    task: str
    algo: str
    seed: Optional[int]
    tags: List[str]
    iteration: int
    frames: int
    wall_s: float
    fps: float
    fitness: float
    episode_return: float
    success: float
    warning: str
    error: str


def find(root: Path) -> Iterator[RunFolder]:
    """Return all run folders at and below `root`, in the order of their names."""
    for folder, names, files in os.walk(str(root)):
        is_run = "config.yaml" in files and ("command.txt" in files or "checkpoints" in names)
        names[:] = sorted(set(names) - NO_RUNS_IN if is_run else names)
        if is_run:
            yield RunFolder(Path(folder))


def read(folder: RunFolder, state: str = "") -> Overview:
    """Read what there is to say about a run; damaged parts are unknown.

    Args:
        folder: of the run.
        state: the one it is known to be in; empty: its lock and its summary are looked at.
    """
    config, summary = folder.read_config() or {}, folder.read_summary()
    row, warning = last_row(folder.metrics), last_row(folder.path / WARNINGS)
    task, algo, record = (_group(config, name) for name in ("task", "algo", "record"))
    numbers = {name: number(text) for name, text in row.items()}
    spec = folder.read_spec()
    seed, tags = config.get("seed"), record.get("tags")
    nan = float("nan")
    return Overview(
        path=folder.path,
        state=state or (RUNNING if is_running(folder) else summary.get("status", DIED)),
        task=str(task.get("env_id") or task.get("name") or "?"),
        algo=str(algo.get("name") or "?"),
        seed=seed if isinstance(seed, int) else None,
        tags=[str(tag) for tag in tags] if isinstance(tags, list) else [],
        iteration=_whole(numbers.get("iteration", nan)),
        frames=_whole(numbers.get("frames", nan)),
        wall_s=numbers.get("wall_s", nan),
        fps=numbers.get("fps", nan),
        fitness=numbers.get("leader/fitness", nan),
        episode_return=numbers.get("leader/episode_return", nan),
        success=numbers.get(f"leader/{spec.success}" if spec else "", nan),
        warning=warning.get("title", ""),
        error=str(summary.get("error", "")),
    )


def is_running(folder: RunFolder) -> bool:
    """Return whether a process trains in the folder; nothing stays locked."""
    try:
        folder.lock.check()
    except ConfigError:
        return True
    except OSError:  # a lock of someone else, or a file system that only reads
        return False
    folder.lock.release()
    return False


def _group(config: Mapping[str, Any], name: str) -> Dict[str, Any]:
    group = config.get(name)
    return group if isinstance(group, dict) else {}


def _whole(value: float) -> int:
    return 0 if value != value or abs(value) == float("inf") else int(value)
