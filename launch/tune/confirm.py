"""Runs of the settings that were found, and of those before, on seeds that nobody has tried."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

from epo.cli.study.execution import Execution
from epo.config import ConfigError
from epo.quoting import assignment
from epo.runner.run_folder import RunFolder
from launch.tune.definition import TuneCfg, assigned
from launch.tune.report import Confirmation
from launch.tune.search import read_curve

FIRST_SEED = 101
"""Trials have the seed of the search's settings, 0 unless they say another."""


class Run(NamedTuple):
    """A run of the confirmation.

    Attributes:
        name: what it is called in messages.
        arguments: overrides of train.py.
        path: its folder.
    """

    name: str
    arguments: Tuple[str, ...]
    path: Path

    @property
    def folder(self) -> RunFolder:
        """Where it leaves its files."""
        return RunFolder(self.path)


def confirm(
    tune: TuneCfg,
    root: Path,
    extra: Sequence[str],
    found: Dict[str, Any],
    num_seeds: int,
    num_workers: int,
) -> Tuple[int, Confirmation]:
    """Run both settings with new seeds; what is finished already is not run again.

    Without workers nothing is run, and there are numbers only if all runs are there.

    Returns:
        128 plus the number of a signal that ended it, else 0; the numbers.

    Raises:
        ConfigError: if a run fails.
    """
    seeds = list(range(FIRST_SEED, FIRST_SEED + num_seeds))
    values = [assigned(name, value) for name, value in found.items()]
    runs: List[Run] = []
    for seed in seeds:
        for arm, lines in (("before", []), ("found", values)):
            # Another search may find other settings: the folder says which.
            name = "before" if arm == "before" else "_".join(values).replace("/", "-")[:150]
            path = root / "confirm" / name / f"seed{seed}"
            arguments = (
                *(*tune.settings, *extra, *lines, f"seed={seed}", f"max_frames={tune.max_frames}"),
                *(assignment("run_dir", path), "resume=auto"),
            )
            runs.append(Run(f"{arm} seed {seed}", arguments, path))
    todo = [run for run in runs if run.folder.read_summary().get("status") != "finished"]
    if todo and not num_workers:
        return 0, Confirmation([], [], [])
    work = Execution(todo, num_workers, tune.metric)
    code = work.run()
    if work.failures:
        name, reason = next(iter(work.failures.items()))
        raise ConfigError("confirm", name, reason)
    if code:
        return code, Confirmation([], [], [])
    ends = [read_curve(run.path, tune.metric).final("frames", tune.max_frames) for run in runs]
    return 0, Confirmation(seeds, ends[::2], ends[1::2])
