"""What a run left behind, as something to look at: a checkpoint and the settings it belongs to."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Dict, Optional

from epo.config import ConfigError
from epo.envs import CurriculumEnv
from epo.record.csv import number, rows
from epo.runner import checkpoint
from epo.runner.run_folder import RunFolder
from epo.runner.whole import env_of


class SavedRun:
    """A checkpoint of a run.

    Args:
        path: a run folder (its `best.pt`, or else `last.pt`) or a checkpoint inside one.

    Attributes:
        folder: of the run.
        file: the checkpoint.
        settings: the run's resolved configuration.
        state: content of the checkpoint, on the CPU.

    Raises:
        ConfigError: if there is no checkpoint, it is damaged, or it lies outside a run folder.
    """

    def __init__(self, path: Path) -> None:
        self.file = _file(path)
        # <run>/checkpoints/<name>.pt
        self.folder = RunFolder(self.file.absolute().parent.parent)
        settings = self.folder.read_config()
        groups = [(settings or {}).get(name) for name in ("task", "engine", "algo")]
        if settings is None or not all(isinstance(group, dict) for group in groups):
            way_out = f"{self.folder.config} is not of a run; keep checkpoints in their runs"
            raise ConfigError("checkpoint", path, way_out)
        self.settings: Dict[str, Any] = settings
        self.state = checkpoint.load(self.file)

    def level(self, env: CurriculumEnv) -> Optional[float]:
        """Return the level of the curriculum at that time; None if it is unknown.

        `last.pt` holds it in the state of the task. `best.pt` holds networks only, so it comes
        from that iteration's row in `metrics.csv`.

        Args:
            env: the task.
        """
        if isinstance(self.state.get("env"), dict):
            try:
                return env.level_of(*env_of(self.state, self.state.get("leader_id", 0)))
            except (KeyError, IndexError, TypeError, AttributeError):
                pass  # of another version
        name = env.level_name
        for row in rows(self.folder.metrics):
            if row.get("iteration") == str(self.state.get("iteration")):
                text = row.get(f"leader/{name}") or row.get(name) or ""
                value = number(text)
                # Written from float32: seven digits are its own.
                return float(f"{value:.7g}") if math.isfinite(value) else None
        return None


def _file(path: Path) -> Path:
    """Find the checkpoint that `path` means."""
    if not path.is_dir():
        if not path.is_file():
            way_out = "there is no such file or folder; python -m epo runs lists runs"
            raise ConfigError("checkpoint", path, way_out)
        return path
    folder = RunFolder(path)
    for file in (folder.best, folder.last):
        if file.is_file():
            return file
    if not folder.config.is_file():
        way_out = "is not a run folder; python -m epo runs lists those below runs"
        raise ConfigError("checkpoint", path, way_out)
    way_out = "holds no checkpoints/best.pt or last.pt yet (record.checkpoint_interval)"
    raise ConfigError("checkpoint", path, way_out)
