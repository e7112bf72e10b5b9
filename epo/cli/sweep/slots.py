"""Cores and GPUs of this machine, dealt out to the runs that go on at the same time."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional

from epo.config import ConfigError
from epo.cores import core_ids
from epo.runner.folder_lock import FolderLock

SLOTS = ".slots"
PID = "pid"


class Slot(NamedTuple):
    """What one run gets.

    Attributes:
        cores: indices of CPU cores.
        gpu: as CUDA_VISIBLE_DEVICES names it; None: there is none here.
        folder: holds the number of the run's process.
    """

    cores: List[int]
    gpu: Optional[str]
    folder: Path

    @property
    def environment(self) -> Dict[str, str]:
        """Variables that keep a run to its share."""
        threads = str(len(self.cores))
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        shares: Dict[str, str] = dict.fromkeys(names, threads)
        if self.gpu is not None:
            shares["CUDA_VISIBLE_DEVICES"] = self.gpu
        return shares

    def keep(self, process: subprocess.Popen[bytes]) -> None:
        """Bind a new process to the cores, and write down which it is."""
        if hasattr(os, "sched_setaffinity"):
            with suppress(OSError):
                os.sched_setaffinity(process.pid, self.cores)
        (self.folder / PID).write_text(str(process.pid), encoding="utf-8")

    def forget(self) -> None:
        """Take note that the process has ended."""
        with suppress(OSError):
            (self.folder / PID).unlink()


def deal(folder: Path, num_slots: int) -> List[Slot]:
    """Deal cores and GPUs out evenly.

    With more slots than cores or GPUs several slots share one.

    Args:
        folder: of the sweep.
        num_slots: runs at a time.
    """
    found, devices = core_ids(), gpus()
    slots = []
    for i in range(num_slots):
        own = found[i::num_slots] or [found[i % len(found)]]
        gpu = devices[i % len(devices)] if devices else None
        slots.append(Slot(own, gpu, folder / SLOTS / str(i)))
    return slots


@contextmanager
def take(slots: List[Slot]) -> Iterator[Slot]:
    """Hold a free slot; other processes hold the others.

    Raises:
        ConfigError: if there is none, which means more runs than slots.
    """
    for slot in slots:
        slot.folder.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(slot.folder)
        try:
            lock.acquire()
        except ConfigError:
            continue
        try:
            yield slot
        finally:
            slot.forget()
            lock.release()
        return
    raise ConfigError("hydra.launcher.n_jobs", len(slots), "all of them are busy; wait for them")


def pids(folder: Path) -> List[int]:
    """Return the processes that a sweep's slots hold."""
    found = []
    for path in folder.glob(f"{SLOTS}/*/{PID}"):
        with suppress(OSError, ValueError):
            found.append(int(path.read_text(encoding="utf-8")))
    return found


def gpus() -> List[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    return [row[0] for row in query_gpus("index")]


def query_gpus(*columns: str) -> List[List[str]]:
    """Ask the driver for columns of every GPU, without torch; nothing where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, f"--query-gpu={','.join(columns)}", "--format=csv,noheader,nounits"]
    try:
        result = subprocess.run(command, stdout=subprocess.PIPE, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    lines = result.stdout.decode("utf-8", errors="replace").splitlines()
    return [[cell.strip() for cell in line.split(",")] for line in lines if line.strip()]
