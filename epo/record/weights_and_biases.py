"""Weights & Biases, over frames; a resumed run continues the same W&B run."""

from __future__ import annotations

import math
import os
import secrets
from pathlib import Path
from typing import Any, Mapping, cast

from epo.config import ConfigError, RecordCfg
from epo.record.files import write_text

ID_FILE = "wandb_id.txt"


class Wandb:
    """Sink that logs every iteration to W&B; its step is the number of frames."""

    def __init__(self, run_dir: Path, cfg: RecordCfg, config: Mapping[str, Any]) -> None:
        """Start, or continue, the W&B run whose id is kept in `wandb_id.txt`.

        Args:
            run_dir: folder of the run; its name is the name of the W&B run.
            cfg: recording group.
            config: resolved configuration, plain types.

        Raises:
            ConfigError: if wandb is missing, not logged in or not reachable.
        """
        try:
            import wandb  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ConfigError(
                "record.wandb",
                cfg.wandb,
                "the package is missing: pip install 'epo[wandb]', or record.wandb=disabled",
            ) from error
        id_file = run_dir / ID_FILE
        if not id_file.exists():
            write_text(id_file, secrets.token_hex(4) + "\n")
        # By itself W&B would take the command line, the git remote, the diff and what is printed:
        # it gets what the run folder holds, and nothing else. Old versions know fewer of these.
        for name in ("WANDB__DISABLE_META", "WANDB_DISABLE_CODE"):
            os.environ[name] = "true"
        try:
            self._run = wandb.init(
                project=cfg.wandb_project,
                entity=cfg.wandb_entity,
                name=run_dir.name,
                tags=list(cfg.tags),
                id=id_file.read_text(encoding="utf-8").strip(),
                resume="allow",
                mode=cast(Any, cfg.wandb),
                dir=str(run_dir),
                config=dict(config),
                settings={"disable_git": True, "console": "off"},
            )
        except wandb.Error as error:
            raise ConfigError(
                "record.wandb",
                cfg.wandb,
                f"W&B does not start ({error}); run `wandb login`, or use record.wandb=offline",
            ) from error

    def write(self, frames: int, metrics: Mapping[str, float]) -> None:
        """Log the finite metrics of one iteration."""
        self._log(frames, {k: v for k, v in metrics.items() if math.isfinite(v)})

    def generation(self, row: Mapping[str, Any]) -> None:
        """Log the numbers of one generation."""
        numbers = {k: v for k, v in row.items() if isinstance(v, (int, float))}
        self._log(row["frames"], {f"generation/{name}": value for name, value in numbers.items()})

    def close(self) -> None:
        """Wait for the upload and end the session."""
        self._run.finish()

    def _log(self, frames: int, values: Mapping[str, float]) -> None:
        # Frames between the checkpoint and the end of the killed process are there already.
        if frames >= self._run.step:
            self._run.log(dict(values), step=frames)
