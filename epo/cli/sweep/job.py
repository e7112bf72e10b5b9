"""A run of a sweep: a process of its own.

Hydra runs the jobs of `-m seed=1,2,3` inside its own processes, where a later run would inherit
the threads, random numbers and device memory of the earlier ones, and their crash.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any, ContextManager, Iterator, List, Optional, Sequence

from hydra.core.hydra_config import HydraConfig

from epo.cli import child
from epo.cli.compose import USAGE_ERROR
from epo.cli.past_runs.overview import RUNNING
from epo.cli.sweep import launcher, nodes, slots
from epo.cli.sweep.slots import Slot
from epo.cli.sweep.table import FAILED, FINISHED, Table
from epo.config import Config, ConfigError
from epo.quoting import assignment
from epo.record.progress import clock, short
from epo.runner.guard import STOP_SIGNALS
from epo.runner.run_folder import RunFolder
from epo.runner.start import limits_reached
from epo.terminal import say

_SENT_ON = [number for number in STOP_SIGNALS if number != signal.SIGINT]
INTERRUPTED = tuple(128 + number for number in STOP_SIGNALS)
STOP = ".stop"
"""File in the folder of a sweep that is being stopped: the exit code. No other run begins."""


def run_in_process(cfg: Config) -> None:
    """Run this job of the sweep as a fresh process and wait for its end.

    A run that fails is noted in the table, and Hydra goes on with the others.

    Raises:
        SystemExit: with the run's code if it was interrupted and there is one run at a time.
    """
    hydra = HydraConfig.get()
    table = Table(Path(str(hydra.sweep.dir)))
    name = table.rows()[int(hydra.job.num)]["run"]
    folder = RunFolder(table.folder / name)
    title = f"run {int(hydra.job.num) + 1}: {name}"
    if limits_reached(cfg, folder.read_summary()):
        say(f"{title} is finished already")
        return
    if (table.folder / STOP).exists():
        return
    is_alone = launcher.is_basic(hydra.launcher)
    settings = [assignment("run_dir", folder.path), "resume=auto"]
    command = [*hydra.overrides.task, *settings]
    say(title)
    if _is_spread(hydra.launcher) and nodes.node_rank():
        # The run's other processes; the first node keeps its folder and the table.
        _run(command, folder.path / f"node{nodes.node_rank()}", None, nodes.torchrun())
        return
    table.update(name, RUNNING)
    try:
        with _slot(hydra.launcher, table.folder) as slot:
            torchrun = nodes.torchrun() if _is_spread(hydra.launcher) else ()
            code = _run(command, None if is_alone else folder.path, slot, torchrun)
        error = f"code {code}" if is_alone else child.reason(folder.path, code)
    except ConfigError as refusal:
        code, error = USAGE_ERROR, str(refusal)
    if code in INTERRUPTED:
        table.update(name)
        _leave(code, is_alone, table.folder)
        return
    row = table.update(name, FAILED if code else FINISHED, error if code else "")
    say(f"{title} {_outcome(row)}", is_error=bool(code))


def _slot(config: Any, folder: Path) -> ContextManager[Optional[Slot]]:
    """Hold a share of the machine, where several runs go on at a time on it."""
    if not launcher.is_joblib(config):
        return nullcontext()
    # Ctrl-C reaches joblib's processes as well; they would end, and kill their runs.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return slots.take(slots.deal(folder, launcher.num_slots(config)))


def _is_spread(config: Any) -> bool:
    """Return whether the job has several nodes, each with a process of this sweep."""
    return launcher.is_slurm(config) and nodes.num_nodes() > 1


def _run(
    command: List[str],
    folder: Optional[Path],
    slot: Optional[Slot],
    torchrun: Sequence[str] = (),
) -> int:
    """Run train.py and return its code, 128 plus the number of the signal that killed it.

    Args:
        command: its overrides.
        folder: where its output goes; None: to this terminal.
        slot: its share of the machine; None: all of it.
        torchrun: words before train.py, on several nodes.
    """
    processes: List[subprocess.Popen[bytes]] = []
    with _signals_left_to(processes):
        if folder is None:
            processes.append(subprocess.Popen([*child.TRAIN, *command]))
        else:
            variables = None if slot is None else slot.environment
            option = "hydra.sweep.dir"
            processes.append(child.start(command, folder, variables, option, torchrun))
        if slot is not None:
            slot.keep(processes[0])
        code = processes[0].wait()
    return code if code >= 0 else 128 - code


def _leave(code: int, is_alone: bool, folder: Path) -> None:
    """End the sweep after a run that was interrupted and has saved its state."""
    if is_alone:
        sys.exit(code)
    handler = signal.getsignal(code - 128)
    if callable(handler) and getattr(handler, "__module__", "").startswith("submitit"):
        signal.raise_signal(code - 128)  # it puts the job back into the queue
    else:
        (folder / STOP).write_text(str(code), encoding="utf-8")


def _outcome(row: Any) -> str:
    """Say in a few words how a run ended."""
    if row.get("error"):
        return f"{row['state']}: {row['error']}"
    if not row.get("frames"):
        return str(row.get("state", ""))
    value = row["episode_return"]
    shown = f", episode return {short(float(value))}" if value else ""
    return f"{row['state']}: {short(float(row['frames']))} frames in " + (
        f"{clock(float(row['wall_s']))}{shown}"
    )


@contextmanager
def _signals_left_to(processes: List[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Leave the reaction to signals to the run: it saves its state before it ends.

    Ctrl-C reaches it by itself, the others have to be sent on.
    """

    def send_on(number: int, frame: Optional[FrameType]) -> None:
        for process in processes:
            process.send_signal(number)

    previous = {signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None)}
    for number in _SENT_ON:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            previous[number] = signal.signal(number, send_on)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
