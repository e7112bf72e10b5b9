"""TensorBoard events, over frames."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any, Mapping, Optional

from epo.config import ConfigError

FLUSH_INTERVAL_S = 10
"""Seconds between two flushes: what a killed run may lose of its curves."""


class TensorBoard:
    """Sink that writes scalars, and a line of text per generation, to `tensorboard/`."""

    def __init__(
        self, run_dir: Path, resumed_frames: Optional[int] = None, *, is_reopened: bool = False
    ) -> None:
        """Open the events file.

        Args:
            run_dir: folder of the run.
            resumed_frames: frames of the checkpoint that the run continues from, or None;
                events behind it are hidden, they are written again.
            is_reopened: continue the events of this session; nothing is hidden.

        Raises:
            ConfigError: if TensorBoard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ConfigError(
                "record.tensorboard",
                "true",
                "the package is missing: pip install tensorboard, or record.tensorboard=false",
            ) from error
        self._writer = SummaryWriter(
            str(run_dir / "tensorboard"),
            purge_step=None if is_reopened else (resumed_frames or 0) + 1,
            flush_secs=FLUSH_INTERVAL_S,
        )
        _hush_writer_threads()

    def write(self, frames: int, metrics: Mapping[str, float]) -> None:
        """Write the finite metrics of one iteration."""
        for name, value in metrics.items():
            if name != "frames" and math.isfinite(value):
                self._writer.add_scalar(name, value, frames)

    def generation(self, row: Mapping[str, Any]) -> None:
        """Write one generation as text."""
        lines = [f"- **{name}**: {value}" for name, value in row.items()]
        self._writer.add_text("generation", "\n".join(lines), row["frames"])

    def close(self) -> None:
        """Flush and close the events file."""
        self._writer.close()


def _hush_writer_threads() -> None:
    """Leave the errors of TensorBoard's writing thread to whoever writes next, who gets them."""
    before = threading.excepthook
    if getattr(before, "is_hushed", False):
        return

    def hook(error: Any) -> None:
        if not type(error.thread).__module__.startswith("tensorboard."):
            before(error)

    hook.is_hushed = True  # pyright: ignore[reportFunctionMemberAccess]
    threading.excepthook = hook
