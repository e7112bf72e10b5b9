"""The recorder: one row of numbers per iteration, handed to every sink."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, List, Mapping, Optional, Sequence

from epo.config import ConfigError, RecordCfg
from epo.record.csv import GENERATIONS, METRICS, CsvTable, GenerationsCsv, GenesCsv, MetricsCsv
from epo.record.guarded import Guarded
from epo.record.progress import RunPlan
from epo.record.sink import Sink


class Recorder:
    """Hand every row to every sink; a context manager that closes them all.

    A sink that fails is guarded: it says so, and the run continues without it. Metrics are host
    floats: the trainer makes one device-to-host transfer per iteration. NaN means that there is
    no value yet. In a distributed run only rank 0 records.

    Args:
        sinks: where rows go.
        genes: table of the genes; None: nobody keeps them.
    """

    def __init__(self, sinks: Sequence[Sink], genes: Optional[CsvTable] = None) -> None:
        self._genes = genes
        self._sinks = [
            sink if isinstance(sink, Guarded) else Guarded(type(sink).__name__, sink)
            for sink in sinks
        ]

    def write(self, iteration: int, frames: int, metrics: Mapping[str, float]) -> None:
        """Record one iteration that ended at `frames` frames."""
        row = {"iteration": iteration, "frames": frames, **metrics}
        for sink in self._sinks:
            sink.write(frames, row)

    def generation(self, row: Mapping[str, Any]) -> None:
        """Record one generation."""
        for sink in self._sinks:
            sink.generation(row)

    def genes(self, row: Callable[[], Mapping[str, Any]]) -> None:
        """Record the genes; without a table, `row` is not called: they stay on the device."""
        if self._genes is not None:
            self._genes.append(row())

    def close(self) -> None:
        """Close every sink, the last one first."""
        if self._genes is not None:
            self._genes.close()
        for sink in reversed(self._sinks):
            sink.close()
        self._sinks = []

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def check_packages(cfg: RecordCfg) -> None:
    """Refuse a sink whose package is missing, before anything is written.

    Raises:
        ConfigError: naming the setting and what to install.
    """
    for setting, is_wanted, package, extra in (
        ("tensorboard", cfg.tensorboard, "tensorboard", "tensorboard"),
        ("wandb", cfg.wandb != "disabled", "wandb", "'epo[wandb]'"),
    ):
        if is_wanted and find_spec(package) is None:
            off = "disabled" if setting == "wandb" else "false"
            way_out = f"the package is missing: pip install {extra}, or record.{setting}={off}"
            raise ConfigError(f"record.{setting}", str(getattr(cfg, setting)).lower(), way_out)


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
    from epo.record.health import HealthWarnings, read_targets

    sinks: List[Sink] = [
        Guarded(METRICS, MetricsCsv(run_dir)),
        Guarded(GENERATIONS, GenerationsCsv(run_dir)),
    ]
    if cfg.tensorboard:
        from epo.record.tensorboard import TensorBoard

        sinks.append(
            Guarded(
                "TensorBoard",
                open_sink=lambda: TensorBoard(run_dir, resumed_frames),
                reopen=lambda: TensorBoard(run_dir, is_reopened=True),
            )
        )
    if cfg.wandb != "disabled":
        from epo.record.weights_and_biases import Wandb

        # Not tried again: connecting may take minutes.
        sinks.append(Guarded("W&B", Wandb(run_dir, cfg, config)))
    console = None
    if cfg.console != "off":
        console = build_console(cfg.console, cfg.console_interval_s, plan)
    if cfg.health.enabled:
        show = None if console is None else console.say
        health = cfg.health
        sinks.append(
            Guarded(
                "the health monitor",
                open_sink=lambda: HealthWarnings(run_dir, health, read_targets(config), show),
            )
        )
    if console is not None:
        # Closed first: the screen is free again before W&B waits for its upload.
        sinks.append(Guarded("the console", console))
    return Recorder(sinks, GenesCsv(run_dir))
