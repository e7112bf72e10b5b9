"""The recorder: one row of numbers per iteration, handed to every sink."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, List, Mapping, Optional, Protocol, Sequence

from epo.config import RecordCfg
from epo.record.progress import RunPlan


class Sink(Protocol):
    """One place that a run's numbers go to."""

    def write(self, frames: int, metrics: Mapping[str, float]) -> None:
        """Take the numbers of one iteration, `iteration` and `frames` among them."""
        ...

    def generation(self, row: Mapping[str, Any]) -> None:
        """Take the description of one generation (`iteration`, `frames`, `replaced`, ...)."""
        ...

    def close(self) -> None:
        """Bring everything to its place."""
        ...


class Recorder:
    """Hand every row to every sink; a context manager that closes them all.

    Metrics are host floats: the trainer makes one device-to-host transfer per iteration.
    NaN means that there is no value yet. In a distributed run only rank 0 records.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = list(sinks)

    def write(self, iteration: int, frames: int, metrics: Mapping[str, float]) -> None:
        """Record one iteration that ended at `frames` frames."""
        row = {"iteration": iteration, "frames": frames, **metrics}
        for sink in self._sinks:
            sink.write(frames, row)

    def generation(self, row: Mapping[str, Any]) -> None:
        """Record one generation."""
        for sink in self._sinks:
            sink.generation(row)

    def close(self) -> None:
        """Close every sink, the last one first, even if one of them fails."""
        with ExitStack() as stack:
            for sink in self._sinks:
                stack.callback(sink.close)
        self._sinks = []

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def build_recorder(
    run_dir: Path,
    cfg: RecordCfg,
    plan: RunPlan,
    config: Mapping[str, Any],
    resumed_frames: Optional[int] = None,
) -> Recorder:
    """Build the sinks that `cfg` asks for; missing packages are reported here.

    Args:
        run_dir: folder of the run; `csv.truncate` it first when resuming.
        cfg: recording group.
        plan: what the console shows of the run.
        config: resolved configuration of the run, plain types: for W&B, and for what the run
            aims at.
        resumed_frames: frames of the checkpoint that the run continues from, or None.

    Raises:
        ConfigError: if a package is missing or W&B cannot start.
    """
    from epo.record.console import build_console
    from epo.record.csv import GenerationsCsv, MetricsCsv
    from epo.record.health import HealthWarnings, read_targets

    sinks: List[Sink] = [MetricsCsv(run_dir), GenerationsCsv(run_dir)]
    if cfg.tensorboard:
        from epo.record.tensorboard import TensorBoard

        sinks.append(TensorBoard(run_dir, resumed_frames))
    if cfg.wandb != "disabled":
        from epo.record.weights_and_biases import Wandb

        sinks.append(Wandb(run_dir, cfg, config))
    console = None
    if cfg.console != "off":
        console = build_console(cfg.console, cfg.console_interval_s, plan)
    if cfg.health.enabled:
        say = None if console is None else console.say
        sinks.append(HealthWarnings(run_dir, cfg.health, read_targets(config), say))
    if console is not None:
        # Closed first: the screen is free again before W&B waits for its upload.
        sinks.append(console)
    return Recorder(sinks)
