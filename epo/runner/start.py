"""Where a run begins: in a new folder, or at the last good checkpoint of an earlier run.

Looking (`find_start`, `RunStart.load`) changes nothing on the disk; `RunStart.begin` does, when
everything that may be refused has been looked at.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from epo.components import load, trainers
from epo.config import AlgoCfg, Config, ConfigError
from epo.config.resume import FIXED, FREE, no_effect, rule
from epo.dotted import flat
from epo.quoting import assignment, shell
from epo.record.csv import truncate
from epo.runner import checkpoint
from epo.runner.checkpoint import CheckpointError
from epo.runner.run_folder import RunFolder, as_plain, as_recorded, default_run_dir, runs_of
from epo.terminal import say

UNKNOWN = "(none)"
"""Value of a setting that a configuration does not have."""


class RunStart:
    """Where a run begins.

    Args:
        folder: its folder; None: a new one below `runs/`, named when it begins.
        checkpoints: what to continue from, the newest first; none: from the start.
        note: what was decided, for the user; empty where there was no choice.
        is_finished: whether nothing is left to do.

    Attributes:
        iteration: of the checkpoint that was loaded, -1 without one.
    """

    def __init__(
        self,
        folder: Optional[RunFolder],
        checkpoints: List[Path],
        note: str = "",
        is_finished: bool = False,
    ) -> None:
        self._folder = folder
        self.checkpoints = checkpoints
        self.note = note
        self.is_finished = is_finished
        self.iteration = -1
        self._damaged: List[Path] = []

    @property
    def folder(self) -> RunFolder:
        """The folder of the run; a new one has a name only after `begin`."""
        assert self._folder is not None, "not begun"
        return self._folder

    def load(self) -> Optional[Dict[str, Any]]:
        """Read the newest checkpoint that is not damaged; None where a new run begins.

        Raises:
            CheckpointError: if all of them are.
        """
        errors: List[CheckpointError] = []
        for path in self.checkpoints:
            try:
                state = checkpoint.load(path)
                checkpoint.check_run_state(path, state)
            except CheckpointError as error:
                errors.append(error)
                continue
            for damage in errors:
                _warn(str(damage))
            if errors:
                _warn(f"continuing from {path} instead, iteration {state['iteration']}")
            self.iteration = int(state["iteration"])
            self._damaged = self.checkpoints[: len(errors)]
            self.checkpoints = self.checkpoints[len(errors) :]
            return state
        if errors:
            raise errors[0]
        return None

    def begin(self, cfg: Config, versions: Mapping[str, str]) -> None:
        """Start the session: write what it runs, and drop records of what is not continued.

        Args:
            cfg: the configuration; its `run_dir` becomes the folder.
            versions: of the simulator (`EnvSpec.versions`).

        Raises:
            ConfigError: if the folder is in use or cannot be written.
        """
        folder = default_run_dir(cfg) if self._folder is None else self.folder.path
        # From here on no path depends on the working directory: foreign code may change it.
        self._folder = RunFolder(folder.absolute())
        self.checkpoints = [path.absolute() for path in self.checkpoints]
        self._damaged = [path.absolute() for path in self._damaged]
        cfg.run_dir = str(self.folder.path)
        self.folder.begin(cfg, versions)
        self.folder.settle_checkpoints(self._damaged, self.checkpoints[:1])
        self.folder.saved_iteration = self.iteration
        for line in truncate(self.folder.path, self.iteration):
            _warn(line)


def find_start(cfg: Config) -> RunStart:
    """Decide where a run begins, without touching anything.

    Raises:
        ConfigError: if the folder holds another run, or is in use.
    """
    earlier = _earlier_run(cfg)
    if earlier is None:
        folder = RunFolder(Path(cfg.run_dir)) if cfg.run_dir else None
        if folder is not None:
            _check_unused(folder, cfg.resume)
            folder.check_free()
        note = "resume=auto: no earlier run of this command, starting a new one"
        return RunStart(folder, [], note if cfg.resume == "auto" else "")
    earlier.check_free()
    chosen = _chosen(cfg, earlier)
    saved = _saved_config(earlier)
    changes = {} if saved is None else differences(saved, as_recorded(cfg))
    end = limits_reached(cfg, earlier.read_summary()) if chosen == earlier.checkpoints() else ""
    if end:
        note = f"{earlier.path} is finished ({end}); raise the limit, or use resume=never"
        return RunStart(earlier, chosen, note, is_finished=True)
    cfg.run_dir = str(earlier.path)
    return RunStart(earlier, chosen, "; ".join([f"continuing {chosen[0]}", *changes.values()]))


def find_resumable(root: Path, cfg: Config) -> Optional[RunFolder]:
    """Find the newest run below `root` of the same command, except free settings.

    Newest is what began last by the count that every session leaves in its folder, since clocks
    jump; it may be finished: whether there is more to do is for `limits_reached` to say.
    """
    folders = {path.parent.parent for path in root.glob("**/checkpoints/last*.pt")}
    wanted = as_recorded(cfg)
    for folder in sorted(map(RunFolder, folders), key=RunFolder.age_key, reverse=True):
        saved = folder.read_config()
        if saved is not None and not differences(saved, wanted):
            return folder
    return None


def limits_reached(cfg: Config, summary: Mapping[str, Any]) -> str:
    """Return which limit a finished run has reached already; empty if there is more to do."""
    if summary.get("status") != "finished":
        return ""
    for name, done in (
        ("max_frames", summary["frames"]),
        ("max_iterations", summary["iteration"]),
        ("max_minutes", summary["wall_s"] / 60.0),
    ):
        limit = getattr(cfg, name)
        if limit is not None and done >= limit:
            return f"{name}={limit}"
    return ""


def differences(saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> Dict[str, str]:
    """Return the settings, except the free ones, that differ, each with `seed=1, was 0`.

    A setting that an earlier version did not know was what is its default now.
    """
    old, new = flat(saved), flat(wanted)
    known = _defaults(str(new.get("algo.trainer", "ppo")))
    changes = {}
    for name in sorted({*old, *new}):
        now = new.get(name, UNKNOWN)
        before = old.get(name, known.get(name, UNKNOWN) if name in new else UNKNOWN)
        if before != now and _rule(name) != FREE:
            changes[name] = f"{name}={now}, was {before}"
    return changes


@lru_cache(maxsize=None)
def _defaults(trainer: str) -> Dict[str, Any]:
    """Return the default of every setting that is not of a task or an engine."""
    schema = load(trainers.get(trainer).schema) if trainer in trainers.names else AlgoCfg
    return flat(as_plain(Config(algo=schema(name=""))))


def _earlier_run(cfg: Config) -> Optional[RunFolder]:
    """Find the run that `resume` asks for and check that it can be continued."""
    if cfg.resume == "never":
        return None
    if cfg.resume == "auto" and cfg.run_dir is None:
        return find_resumable(runs_of(cfg), cfg)
    path = Path(str(cfg.run_dir if cfg.resume == "auto" else cfg.resume))
    if path.is_file():  # one of its checkpoints
        path = path.parent.parent
    if cfg.run_dir is not None and Path(cfg.run_dir).resolve() != path.resolve():
        raise ConfigError("run_dir", cfg.run_dir, f"leave it out: resume={cfg.resume} is the run")
    folder = RunFolder(path)
    if not folder.checkpoints():
        if cfg.resume == "auto":
            return None
        raise ConfigError("resume", path, "has no checkpoints/last.pt; name another run folder")
    _check_command(cfg, folder)
    return folder


def _saved_config(folder: RunFolder) -> Optional[Dict[str, Any]]:
    """Return the configuration of a run; None if it cannot be read or is none."""
    saved = folder.read_config()
    return saved if saved is not None and {"task", "algo"} <= saved.keys() else None


def _check_command(cfg: Config, folder: RunFolder) -> None:
    """Refuse what the run cannot continue with."""
    saved = _saved_config(folder)
    if saved is None:
        if cfg.resume == "auto":
            way_out = f"{folder.config} cannot be read, so it is unknown whether this is its "
            way_out += "command; name the run to continue it all the same: "
            way_out += shell([assignment("resume", folder.path)])
            raise ConfigError("resume", cfg.resume, way_out)
        _warn(f"{folder.config} cannot be read: settings are not compared with it")
        return
    refused = []
    for name, text in differences(saved, as_recorded(cfg)).items():
        reason = no_effect(cfg, name)
        # What an earlier epo did not know was not chosen either.
        if cfg.resume == "auto" or (_rule(name) == FIXED and not text.endswith(UNKNOWN)):
            refused.append(text)
        elif reason:
            refused.append(f"{text}, but {reason}")
    if refused:
        shown = "; ".join(refused[:3]) + ("; ..." if len(refused) > 3 else "")
        way_out = f"{folder.path} is a run of another command ({shown}); repeat the one in "
        way_out += "command.txt, or begin a new run from its weights: "
        way_out += shell([assignment("checkpoint", folder.last)])
        raise ConfigError("resume", cfg.resume, way_out)


def _chosen(cfg: Config, folder: RunFolder) -> List[Path]:
    """Return the checkpoints to continue from, the newest first; a file begins with itself."""
    found = folder.checkpoints()
    path = Path(cfg.resume)
    if cfg.resume == "auto" or not path.is_file():
        return found
    same = [i for i, other in enumerate(found) if other.resolve() == path.resolve()]
    if not same:
        names = ", ".join(str(other) for other in found)
        raise ConfigError("resume", path, f"no run continues from this file; choose from {names}")
    return found[same[0] :]


def _check_unused(folder: RunFolder, resume: str) -> None:
    """Refuse a folder that holds results."""
    is_used = folder.metrics.exists() or bool(folder.checkpoints())
    is_finished = folder.read_summary().get("status") == "finished"
    if is_used and (resume == "never" or is_finished):
        raise ConfigError(
            "run_dir",
            folder.path,
            "holds a run already; choose another run_dir, or continue it with resume=auto",
        )


def _warn(text: str) -> None:
    say(f"warning: {text}", is_error=True)


def _rule(name: str) -> str:
    """Return the rule of a setting; what only another version knows is part of the command."""
    try:
        return rule(name)
    except KeyError:
        return FIXED
