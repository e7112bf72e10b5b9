"""The folder of a run: where things lie, what is written first and what at the end."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import re
from pathlib import Path
from typing import IO, Any, Dict, Mapping, Optional

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from epo.config import Config, ConfigError
from epo.record.csv import GENERATIONS, METRICS
from epo.record.files import write_text
from epo.runner import provenance

try:
    import fcntl
except ImportError:  # not on Windows: two processes in one folder go unnoticed there
    fcntl = None

ROOT = Path("runs")
STATUSES = ("finished", "interrupted", "failed")


class RunFolder:
    """The files of one run.

    Attributes:
        path: the folder.
        config: resolved configuration.
        metrics: one row per iteration.
        generations: one row per generation.
        summary: how the last session ended; absent while it runs.
        last: newest checkpoint.
        best: checkpoint of the highest leader fitness.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.metrics = self.path / METRICS
        self.generations = self.path / GENERATIONS
        self.summary = self.path / "summary.json"
        self.last = self.path / "checkpoints" / "last.pt"
        self.best = self.path / "checkpoints" / "best.pt"
        self._lock: Optional[IO[str]] = None

    def read_config(self) -> Optional[Dict[str, Any]]:
        """Give the resolved configuration as plain types; None if there is no readable one."""
        try:
            return as_plain(OmegaConf.load(self.config))
        except (OSError, YAMLError, OmegaConfBaseException):
            return None

    def read_summary(self) -> Dict[str, Any]:
        """Give the content of `summary.json`; empty if the run has not ended by itself."""
        try:
            return json.loads(self.summary.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def write_versions(self, device: str, extra: Mapping[str, str]) -> None:
        """Write `versions.json`; again when the simulator is known (`EnvSpec.versions`)."""
        text = json.dumps(provenance.versions(device, extra), indent=2)
        write_text(self.path / "versions.json", text + "\n")

    def write_summary(
        self,
        status: str,
        iteration: int,
        frames: int,
        wall_s: float,
        best_fitness: float,
        metrics: Mapping[str, float],
        error: str = "",
    ) -> None:
        """Write how the run ended.

        Args:
            status: one of `STATUSES`.
            iteration: iterations done.
            frames: frames done.
            wall_s: wall-clock time of all sessions, s.
            best_fitness: highest fitness of the leader, task units.
            metrics: those of the last iteration.
            error: what made it fail.
        """
        assert status in STATUSES, status
        content = {
            "status": status,
            "error": error,
            "iteration": iteration,
            "frames": frames,
            "wall_s": wall_s,
            "best_fitness": best_fitness,
            "metrics": dict(metrics),
        }
        if not error:
            del content["error"]
        text = json.dumps(_without_nan(content), indent=2, allow_nan=False)
        write_text(self.summary, text + "\n")

    def begin(self, cfg: Config) -> None:
        """Start a session: lock the folder and write what it runs.

        Raises:
            ConfigError: if the folder cannot be written or another process trains in it.
        """
        try:
            self.last.parent.mkdir(parents=True, exist_ok=True)
            self._acquire()
            write_text(self.config, OmegaConf.to_yaml(OmegaConf.create(as_plain(cfg))))
            git = provenance.git_state()
            with open(self.path / "command.txt", "a", encoding="utf-8") as file:
                file.write(provenance.describe_session(git))
            if git is not None and git.diff:
                write_text(self.path / "git.diff", git.diff)
            self.write_versions(cfg.device, {})
            if self.summary.exists():
                self.summary.unlink()
        except OSError as error:
            raise ConfigError(
                "run_dir",
                self.path,
                f"cannot be written ({error.strerror}); choose another run_dir",
            ) from error

    def _acquire(self) -> None:
        """Hold a lock until this process ends, however it ends."""
        if fcntl is None:
            return
        self._lock = open(self.path / ".lock", "w")  # noqa: SIM115 - held for the process's life
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                "run_dir",
                self.path,
                "another process trains in this folder; wait for it or choose another run_dir",
            ) from error
        except OSError:  # a network disk without locks is no reason not to train
            self._lock.close()


def runs_of(cfg: Config) -> Path:
    """Give `runs/<task>/<algo>`; a task with an `env_id` is that environment."""
    task = getattr(cfg.task, "env_id", cfg.task.name)
    return ROOT / re.sub(r"[^\w.-]+", "-", task) / cfg.algo.name


def default_run_dir(cfg: Config) -> Path:
    """Give a new folder `runs/<task>/<algo>/<date>_seed<seed>`."""
    date = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    parent = runs_of(cfg)
    name = f"{date}_seed{cfg.seed}"
    paths = [parent / name, *(parent / f"{name}_{number}" for number in range(2, 1000))]
    for path in paths:  # runs of a sweep may start in the same second
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            way_out = f"cannot be created ({error.strerror}); choose a run_dir"
            raise ConfigError("run_dir", path, way_out) from error
        return path
    raise ConfigError("run_dir", parent, "holds too many runs of this second; choose a run_dir")


def as_plain(cfg: Any) -> Dict[str, Any]:
    """Give a configuration (dataclasses or OmegaConf) as plain, resolved types."""
    if dataclasses.is_dataclass(cfg) and not isinstance(cfg, type):
        return dataclasses.asdict(cfg)
    container = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(container, dict)
    return {str(name): value for name, value in container.items()}


def _without_nan(value: Any) -> Any:
    """Replace NaN and infinity, which JSON does not know, by null."""
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
