"""Where a run begins: in a new folder, or at the last checkpoint of an earlier run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence

from epo.config import Config, ConfigError
from epo.record.csv import truncate
from epo.runner.run_folder import RunFolder, as_plain, default_run_dir, runs_of

FREE_SETTINGS = (
    "run_dir",
    "resume",
    "record",
    "device",
    "engine.num_threads",
    "max_frames",
    "max_iterations",
    "max_minutes",
)
"""Settings that do not make another command: a run may be continued with other ones."""
FIXED_SETTINGS = (
    "task.name",
    "task.env_id",
    "engine.name",
    "algo.name",
    "algo.network",
    "algo.cpo.adversary.mlp_units",
    "num_agents",
    "num_envs",
    "staggered_starts",
)
"""Settings that the shape of a checkpoint depends on, or its first frame: no run can go on with
other ones."""


class RunStart(NamedTuple):
    """Where a run begins.

    Attributes:
        folder: its folder; begun, unless the run is finished.
        checkpoint: what to continue from; None: from the start.
        note: what was decided, for the user; empty where there was no choice.
        is_finished: whether nothing is left to do.
    """

    folder: RunFolder
    checkpoint: Optional[Path]
    note: str
    is_finished: bool = False


def start_run(cfg: Config) -> RunStart:
    """Create the run folder of a new run, or find and reopen the one to continue.

    Raises:
        ConfigError: if the folder holds another run, is in use or cannot be written.
    """
    earlier = _earlier_run(cfg)
    if earlier is None:
        folder = RunFolder(Path(cfg.run_dir) if cfg.run_dir else default_run_dir(cfg))
        _check_unused(folder, cfg.resume)
        folder.begin(cfg)
        truncate(folder.path, -1)  # rows of a run killed before its first checkpoint
        note = "resume=auto: no earlier run of this command, starting a new one"
        return RunStart(folder, None, note if cfg.resume == "auto" else "")
    saved = earlier.read_config()
    changes = differences(saved or {}, as_plain(cfg))
    end = limits_reached(cfg, earlier.read_summary())
    if end:
        note = f"{earlier.path} is finished ({end}); raise the limit, or use resume=never"
        return RunStart(earlier, earlier.last, note, is_finished=True)
    earlier.begin(cfg)
    note = "; ".join([f"continuing {earlier.path}", *changes.values()])
    return RunStart(earlier, earlier.last, note)


def find_resumable(root: Path, cfg: Config) -> Optional[RunFolder]:
    """Find the newest run below `root` of the same command, but for `FREE_SETTINGS`.

    It may be finished: whether there is more to do is for `limits_reached` to say.
    """
    found = sorted(root.glob("**/checkpoints/last.pt"), key=lambda path: path.stat().st_mtime)
    wanted = as_plain(cfg)
    for last in reversed(found):
        folder = RunFolder(last.parent.parent)
        saved = folder.read_config()
        if saved is not None and not differences(saved, wanted):
            return folder
    return None


def limits_reached(cfg: Config, summary: Mapping[str, Any]) -> str:
    """Say which limit a finished run has reached already; empty if there is more to do."""
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
    """Give the settings, but for the free ones, that differ, each with `seed=1, was 0`."""
    old, new = _flat(saved), _flat(wanted)
    changes = {}
    for name in sorted({*old, *new}):
        before, now = old.get(name, "(none)"), new.get(name, "(none)")
        if before != now and not _is_among(name, FREE_SETTINGS):
            changes[name] = f"{name}={now}, was {before}"
    return changes


def _earlier_run(cfg: Config) -> Optional[RunFolder]:
    """Find the run that `resume` asks for and check that it can be continued."""
    if cfg.resume == "never":
        return None
    if cfg.resume == "auto" and cfg.run_dir is None:
        return find_resumable(runs_of(cfg), cfg)
    path = Path(str(cfg.run_dir if cfg.resume == "auto" else cfg.resume))
    if cfg.run_dir is not None and Path(cfg.run_dir).resolve() != path.resolve():
        raise ConfigError("run_dir", cfg.run_dir, f"leave it out: resume={cfg.resume} is the run")
    folder = RunFolder(path)
    if not folder.last.exists():
        if cfg.resume == "auto":
            return None
        raise ConfigError("resume", path, "has no checkpoints/last.pt; name another run folder")
    differing = differences(folder.read_config() or {}, as_plain(cfg))
    changes = [
        text
        for name, text in differing.items()
        if cfg.resume == "auto" or _is_among(name, FIXED_SETTINGS)
    ]
    if changes:
        shown = "; ".join(changes[:3]) + ("; ..." if len(changes) > 3 else "")
        way_out = f"{path} is a run of another command ({shown}); repeat the one in command.txt"
        raise ConfigError("resume", cfg.resume, way_out)
    return folder


def _check_unused(folder: RunFolder, resume: str) -> None:
    """Refuse a folder that holds results."""
    is_used = folder.metrics.exists() or folder.last.exists()
    is_finished = folder.read_summary().get("status") == "finished"
    if is_used and (resume == "never" or is_finished):
        raise ConfigError(
            "run_dir",
            folder.path,
            "holds a run already; choose another run_dir, or continue it with resume=auto",
        )


def _is_among(name: str, settings: Sequence[str]) -> bool:
    """Tell whether the dotted `name` is one of the settings or inside one of them."""
    return any(name == setting or name.startswith(setting + ".") for setting in settings)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Dict[str, Any]:
    flat: Dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat
