"""The runs of a study: what each of them is, and which of them are finished on disk."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

from epo.cli import environment, overrides
from epo.cli.study.definition import StudyCfg
from epo.config import Config, ConfigError
from epo.runner.run_folder import RunFolder, as_recorded
from epo.runner.start import differences, limits_reached

OWN_SETTINGS = {
    "seed": "the study sets it; use seeds=<number>",
    "run_dir": "the study sets it; use runs=<folder>",
    "resume": "a study always continues where it was",
    "max_iterations": "runs of equal length are compared; use max_frames",
    "max_minutes": "runs of equal length are compared; use max_frames",
}
"""Settings that a study decides by itself -> what to do instead."""


class Run(NamedTuple):
    """One training run.

    Attributes:
        environment, arm: names in the study.
        seed: training seed, the sample's name.
        arguments: overrides of `python train.py`, the folder included.
        cfg: what they resolve to on this machine.
    """

    environment: str
    arm: str
    seed: int
    arguments: Tuple[str, ...]
    cfg: Config

    @property
    def folder(self) -> RunFolder:
        """Where it leaves its files."""
        return RunFolder(Path(str(self.cfg.run_dir)))

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"{self.environment} {self.arm} seed {self.seed}"


def expand(study: StudyCfg, root: Path, extra: Sequence[str] = ()) -> List[Run]:
    """List the runs of a study, every arm on every environment before the next seed.

    Args:
        study: what is compared.
        root: folder of all its run folders.
        extra: overrides of all runs, after those of the study.

    Raises:
        ConfigError: at the first impossible setting of any run.
    """
    for line in extra:
        name, is_override, value = line.partition("=")
        if not is_override:
            raise ConfigError("argument", line, "write name=value")
        if name in OWN_SETTINGS:
            raise ConfigError(name, value, OWN_SETTINGS[name])
    environment.register()
    cells = list(_cells(study, extra))
    return [
        _run(name, arm, seed, lines, cfg, root / name / arm / f"seed{seed}")
        for seed in range(1, study.num_seeds + 1)
        for name, arm, lines, cfg in cells
    ]


def is_finished(run: Run) -> bool:
    """Return whether the run is on disk and as long as it shall be.

    Raises:
        ConfigError: if its folder holds a run of other settings.
    """
    saved = run.folder.read_config()
    if saved is None:
        return False
    changes = differences(saved, as_recorded(run.cfg))
    if changes:
        shown = "; ".join(list(changes.values())[:3]) + ("; ..." if len(changes) > 3 else "")
        way_out = f"holds a run of other settings ({shown}); choose another runs=, or remove it"
        raise ConfigError("runs", run.folder.path, way_out)
    return bool(limits_reached(run.cfg, run.folder.read_summary()))


def _cells(study: StudyCfg, extra: Sequence[str]) -> Iterator[Tuple[str, str, List[str], Config]]:
    """Compose every arm on every environment once: the seed changes nothing else."""
    for name, env in study.environments.items():
        for arm, settings in study.arms_of(name).items():
            lines = [*study.settings, *env.settings, *settings, f"max_frames={env.max_frames}"]
            lines += extra
            cfg, _ = environment.ready(environment.configurations(lines)[0])
            yield name, arm, lines, cfg


def _run(name: str, arm: str, seed: int, lines: Sequence[str], cfg: Config, folder: Path) -> Run:
    own: Dict[str, Any] = {"seed": seed, "run_dir": str(folder), "resume": "auto"}
    arguments = (*lines, *overrides.overrides(own))
    cfg = copy.copy(cfg)
    vars(cfg).update(own)
    return Run(name, arm, seed, arguments, cfg)
