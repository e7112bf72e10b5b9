"""Which runs the campaign has, what each of them is, and which are left."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Tuple

from omegaconf import OmegaConf

from epo.cli import environment
from epo.config import Config, ConfigError
from epo.dotted import flat
from epo.quoting import assignment
from epo.runner.run_folder import RunFolder, as_recorded
from epo.runner.start import differences, limits_reached
from epo.validation import did_you_mean

ALGORITHMS = ("epo", "sapg", "pbt", "ppo", "pql")
"""Of the paper's comparison; `epo` with 64 agents, `sapg` with 6, `pbt` with 8."""
PUBLISHED = Path(__file__).with_name("published.yaml")
OWN = ("run_dir", "resume", "seed", "experiment", "task", "algo")
"""Settings that the campaign decides by itself."""


class Run(NamedTuple):
    """One run of the campaign.

    Attributes:
        task, algo, seed: what is trained, and how.
        arguments: overrides of train.py, the folder included.
        cfg: what they compose to; `auto` is left to the machine that runs it.
    """

    task: str
    algo: str
    seed: int
    arguments: Tuple[str, ...]
    cfg: Config

    @property
    def name(self) -> str:
        """What it is called in messages and in Slurm's queue."""
        return f"{self.task}-{self.algo}-{self.seed}"

    @property
    def folder(self) -> RunFolder:
        """Where it leaves its files."""
        return RunFolder(Path(str(self.cfg.run_dir)))


def published() -> Dict[str, Dict[str, Tuple[float, float]]]:
    """Return the paper's successes: task -> algorithm -> mean and spread."""
    content = OmegaConf.to_container(OmegaConf.load(PUBLISHED))
    assert isinstance(content, dict)
    return {
        str(task): {name: (float(mean), float(band)) for name, (mean, band) in found.items()}
        for task, found in content.items()
    }


def expand(
    root: Path,
    tasks: Sequence[str],
    algorithms: Sequence[str],
    num_seeds: int,
    extra: Sequence[str] = (),
) -> List[Run]:
    """List the runs, all tasks and algorithms with one seed before the next.

    Raises:
        ConfigError: at the first impossible setting.
    """
    for line in extra:
        name, is_override, value = line.partition("=")
        if not is_override:
            raise ConfigError("argument", line, "write name=value")
        if name in OWN:
            way_out = "the campaign sets it; use tasks=, algos=, seeds=, root="
            raise ConfigError(name, value, way_out)
    environment.register()
    cells = []
    for task in tasks:
        for algo in algorithms:
            lines = [f"experiment=paper/{task}", f"algo={algo}", *extra]
            (cfg,) = environment.configurations(lines)
            cells.append((task, algo, lines, cfg))
    return [
        _run(task, algo, lines, cfg, seed, root / task / algo / f"seed{seed}")
        for seed in range(1, num_seeds + 1)
        for task, algo, lines, cfg in cells
    ]


def chosen(option: str, given: str, known: Sequence[str]) -> List[str]:
    """Return the names that an option lists, or all for none.

    Raises:
        ConfigError: if one of them does not exist.
    """
    names = [name.strip() for name in given.split(",") if name.strip()]
    for name in names:
        if name not in known:
            way_out = f"not in the campaign{did_you_mean(name, known)} ({', '.join(known)})"
            raise ConfigError(option, name, way_out)
    return names or list(known)


def unfinished(runs: Sequence[Run]) -> List[Run]:
    """Return the runs with something left to do.

    Raises:
        ConfigError: if a folder holds a run of other settings.
    """
    return [run for run in runs if not _is_finished(run)]


def check_free(runs: Sequence[Run]) -> None:
    """Refuse folders in which somebody trains.

    Raises:
        ConfigError: naming the first.
    """
    for run in runs:
        run.folder.check_free()


def _is_finished(run: Run) -> bool:
    saved = run.folder.read_config()
    if saved is None:
        return False
    # What is `auto` or empty here was decided where it ran.
    wanted = {k: v for k, v in flat(as_recorded(run.cfg)).items() if v not in ("auto", None)}
    changes = differences({k: v for k, v in flat(saved).items() if k in wanted}, wanted)
    if changes:
        shown = "; ".join(list(changes.values())[:3])
        way_out = f"holds a run of other settings ({shown}); choose another root="
        raise ConfigError("root", run.folder.path, way_out)
    return bool(limits_reached(run.cfg, run.folder.read_summary()))


def _run(task: str, algo: str, lines: Sequence[str], cfg: Config, seed: int, path: Path) -> Run:
    arguments = (*lines, f"seed={seed}", assignment("run_dir", path), "resume=auto")
    cfg = copy.copy(cfg)
    vars(cfg).update(seed=seed, run_dir=str(path), resume="auto")
    return Run(task, algo, seed, arguments, cfg)
