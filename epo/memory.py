"""Memory: what is free and taken, and how the process keeps what was freed."""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    import torch

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Parameters of glibc's `mallopt`, from its malloc.h."""

_CONTAINER_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def keep_freed_memory() -> bool:
    """Let the C library keep what is freed for the next allocation; tell whether it does.

    An update frees and allocates the same large tensors in every minibatch. By default glibc gives
    each of them back to the system, which then hands out and clears every page anew: half of the
    system time of an update on a CPU. Other C libraries are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, -1))


def free_bytes(device: torch.device) -> int:
    """Return the memory of `device` that is free for this process."""
    if device.type == "cuda":
        import torch

        return torch.cuda.mem_get_info(device)[0]
    limits = (_free_in_container(*files) for files in _CONTAINER_LIMITS)
    return min([_free_on_host(), *(free for free in limits if free is not None)])


def resident_bytes() -> int:
    """Return what the process has in main memory now; 0 where the system does not tell."""
    return _of_process("VmRSS")


def peak_resident_bytes() -> int:
    """Return the most that the process has had in main memory; 0 where nobody tells."""
    return _of_process("VmHWM")


def binary(num_bytes: float) -> str:
    """Write a size in KiB, MiB or GiB with three digits."""
    for power, unit in ((30, "GiB"), (20, "MiB")):
        value = num_bytes / 2**power
        if value >= 1.0:
            return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"
    return f"{num_bytes / 2**10:.1f} KiB"


def _of_process(name: str) -> int:
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.M)
    except OSError:
        found = None
    return int(found[1]) * 1024 if found else 0


def _free_on_host() -> int:
    """Return the free memory of the machine; where that is unknown, all of it."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _free_in_container(limit: str, used: str) -> Optional[int]:
    """Return what a container's limit leaves; None without one. The arguments are files."""
    try:
        return int(Path(limit).read_text()) - int(Path(used).read_text())
    except (OSError, ValueError):  # no container, or "max"
        return None
