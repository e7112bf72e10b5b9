"""The folder of a run: where things lie, what is written first and what at the end."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from omegaconf import OmegaConf
from yaml import YAMLError

from epo.config import Config, ConfigError
from epo.envs import EnvSpec
from epo.quoting import short_path
from epo.record.csv import GENERATIONS, METRICS, TABLES
from epo.record.files import set_aside, write_text
from epo.record.yaml import read_yaml
from epo.redact import redact, redact_tree
from epo.runner import checkpoint, provenance
from epo.runner.folder_lock import FolderLock
from epo.terminal import say

ROOT = Path("runs")
STATUSES = ("finished", "interrupted", "failed")
FILES = (
    *("config.yaml", "command.txt", "versions.json", "spec.json", "git.diff", "summary.json"),
    *(".order", *TABLES),
)
FOLDERS = ("tensorboard", "checkpoints")


class RunFolder:
    """The files of one run.

    Attributes:
        path: the folder.
        config: resolved configuration.
        metrics: one row per iteration.
        generations: one row per generation.
        summary: how the last session ended; absent while it runs.
        spec: what the task is.
        last: newest checkpoint.
        best: checkpoint of the highest leader fitness.
        lock: held by the process that trains here.
        saved_iteration: the one that `last` holds, as far as this process knows.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.metrics = self.path / METRICS
        self.generations = self.path / GENERATIONS
        self.summary = self.path / "summary.json"
        self.spec = self.path / "spec.json"
        self.last = self.path / "checkpoints" / "last.pt"
        self.best = self.path / "checkpoints" / "best.pt"
        self.lock = FolderLock(self.path)
        self.saved_iteration = -1

    def read_config(self) -> Optional[Dict[str, Any]]:
        """Return the recorded configuration as plain types; None if there is no readable one.

        Texts such as `${oc.env:NAME}` are left as they are.
        """
        try:
            config = read_yaml(self.config)
        except (OSError, ValueError, RecursionError, YAMLError):
            return None
        if not isinstance(config, dict):
            return None
        return without_strange_groups({str(name): value for name, value in config.items()})

    def read_summary(self) -> Dict[str, Any]:
        """Return the content of `summary.json`; empty if the run has not ended by itself.

        A damaged one counts as none.
        """
        try:
            summary = json.loads(self.summary.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        is_sound = (
            isinstance(summary, dict)
            and summary.get("status") in STATUSES
            and all(_is_number(summary.get(name)) for name in ("iteration", "frames", "wall_s"))
            and isinstance(summary.get("metrics"), dict)
        )
        return summary if is_sound else {}

    def checkpoints(self) -> List[Path]:
        """Return what the run can continue from, the newest first: `last.pt`, `last-1.pt`, ..."""
        return [path for path in checkpoint.kept(self.last) if path.is_file()]

    def order(self) -> int:
        """Return the number of the run's last session among those below its parent; 0: unknown."""
        try:
            return int((self.path / ".order").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return 0

    def age_key(self) -> Tuple[int, float]:
        """Return what sorts runs, the newest last: no clock but where nothing else is known."""
        return self.order(), max((p.stat().st_mtime for p in self.checkpoints()), default=0.0)

    def save_last(self, state: Dict[str, Any], keep: int) -> None:
        """Save what the run continues from; the checkpoint before becomes `last-1.pt`, and so on.

        Rows that were written so far are on the disk before the checkpoint is.

        Args:
            state: of the whole run.
            keep: checkpoints that are kept, this one included.

        Raises:
            CheckpointError: if it cannot be written.
            NonFiniteError: if something in it is not finite; the last checkpoint stays.
        """
        if state["iteration"] == self.saved_iteration:
            return
        for name in TABLES:
            _sync(self.path / name)
        checkpoint.save(self.last, state, keep)
        self.saved_iteration = state["iteration"]

    def write_versions(self, device: str, extra: Mapping[str, str]) -> None:
        """Write `versions.json`; again when the simulator is known (`EnvSpec.versions`)."""
        text = json.dumps(provenance.versions(device, extra), indent=2)
        write_text(self.path / "versions.json", text + "\n")

    def write_spec(self, spec: EnvSpec) -> None:
        """Write `spec.json`: what the task is, for anyone who reads the run without building it."""
        write_text(self.spec, json.dumps(dataclasses.asdict(spec), indent=2) + "\n")

    def read_spec(self) -> Optional[EnvSpec]:
        """Return what `write_spec` wrote; None if there is nothing that can be read."""
        try:
            content = json.loads(self.spec.read_text(encoding="utf-8"))
            lists = {n: tuple(v) for n, v in content.items() if isinstance(v, list)}
            return EnvSpec(**{**content, **lists})
        except (OSError, ValueError, RecursionError, TypeError, AttributeError):
            return None

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

    def check_free(self) -> None:
        """Refuse a folder in which another process trains; nothing is changed.

        Raises:
            ConfigError: if one does.
        """
        self.lock.check()

    def begin(self, cfg: Config, versions: Optional[Mapping[str, str]] = None) -> None:
        """Start a session: lock the folder and write what it runs.

        Args:
            cfg: resolved configuration.
            versions: of the simulator (`EnvSpec.versions`).

        Raises:
            ConfigError: if the folder cannot be written or another process trains in it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.lock.acquire()
            self._clear_names()
            self.last.parent.mkdir(exist_ok=True)
            self._number()
            write_text(self.config, OmegaConf.to_yaml(OmegaConf.create(as_recorded(cfg))))
            git = provenance.git_state() if cfg.record.git_diff else provenance.git_commit()
            with open(self.path / "command.txt", "a", encoding="utf-8") as file:
                file.write(redact(provenance.describe_session(git)))
            if git is not None and git.diff:
                write_text(self.path / "git.diff", git.diff)
            self.write_versions(cfg.device, versions or {})
            if self.summary.exists():
                self.summary.unlink()
        except OSError as error:
            raise ConfigError(
                "run_dir",
                self.path,
                f"cannot be written ({error.strerror}); choose another run_dir",
            ) from error

    def settle_checkpoints(self, damaged: Sequence[Path], chosen: Sequence[Path]) -> None:
        """Let the chosen checkpoint be `last.pt`; what is newer is set aside, not deleted."""
        if not chosen or chosen[0] == self.last:
            return
        for path in checkpoint.kept(self.last):
            if path == chosen[0]:
                break
            if path.exists():
                why = "damaged" if path in damaged else "left"
                say(f"{short_path(path)} is set aside as {set_aside(path, why).name}")
        os.replace(chosen[0], self.last)

    def _clear_names(self) -> None:
        """Set aside what stands where the run writes: folders for files, files for folders."""
        for name in (*FILES, *FOLDERS):
            path = self.path / name
            if path.exists() and path.is_dir() != (name in FOLDERS):
                kind = "a folder" if path.is_dir() else "a file"
                aside = set_aside(path)
                say(
                    f"warning: {short_path(path)} was {kind}; it is set aside as {aside.name}",
                    is_error=True,
                )

    def _number(self) -> None:
        """Leave the number of this session: one more than of any run beside it."""
        others = (RunFolder(path.parent).order() for path in self.path.parent.glob("*/.order"))
        write_text(self.path / ".order", f"{1 + max(others, default=0)}\n")


def runs_of(cfg: Config) -> Path:
    """Return `runs/<task>/<algo>`; a task with an `env_id` is that environment."""
    task = getattr(cfg.task, "env_id", cfg.task.name)
    return ROOT / re.sub(r"[^\w.-]+", "-", task) / cfg.algo.name


def default_run_dir(cfg: Config) -> Path:
    """Return a new folder `runs/<task>/<algo>/<date>_seed<seed>`."""
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
    """Return a configuration (dataclasses or OmegaConf) as plain, resolved types."""
    if dataclasses.is_dataclass(cfg) and not isinstance(cfg, type):
        return dataclasses.asdict(cfg)
    container = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(container, dict)
    return {str(name): value for name, value in container.items()}


def as_recorded(cfg: Any) -> Dict[str, Any]:
    """Return a configuration as it may be kept: as it was written, without secrets.

    What came from the environment stays the text `${oc.env:NAME}`; the rest is resolved.
    """
    return redact_tree(_with_texts(as_plain(cfg), getattr(cfg, "texts", {})))


def _with_texts(tree: Dict[str, Any], texts: Mapping[str, str], prefix: str = "") -> Dict[str, Any]:
    """Put the texts of settings, by their dotted names, in the place of their values."""
    changed: Dict[str, Any] = {}
    for name, value in tree.items():
        path = f"{prefix}{name}"
        is_group = isinstance(value, dict)
        changed[name] = _with_texts(value, texts, f"{path}.") if is_group else value
        if path in texts:
            changed[name] = texts[path]
    return changed


def without_strange_groups(settings: Dict[str, Any]) -> Dict[str, Any]:
    """Return a run's settings without those of other ways of training.

    Earlier versions recorded `algo.pql`, `algo.pbt` and `algo.rl_games` in every run.
    """
    algo = settings.get("algo")
    if not isinstance(algo, dict):
        return settings
    strange = {"pql", "pbt", "rl_games"} - {algo.get("trainer")}
    kept = {name: value for name, value in algo.items() if name not in strange}
    return {**settings, "algo": kept}


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _sync(path: Path) -> None:
    """Put on the disk what was written to a file, if there is one."""
    with suppress(OSError):
        descriptor = os.open(str(path), os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _without_nan(value: Any) -> Any:
    """Replace NaN and infinity, which JSON does not know, by null."""
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
