"""CPU cores that this process may use: those it is bound to, and those its container pays for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import List, Optional

CGROUP = Path("/sys/fs/cgroup")


def core_ids() -> List[int]:
    """Return the cores that this process is bound to."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def granted_cores() -> int:
    """Count the cores that threads are worth starting for, at least 1.

    More threads than a container's quota wait for each other.
    """
    quota, bound = cpu_quota(CGROUP), len(core_ids())
    return bound if quota is None else max(1, min(bound, int(quota + 0.01)))


def cpu_quota(root: Path) -> Optional[float]:
    """Read the quota of this container, cores; None: there is none.

    Args:
        root: of the control groups; version 2 has `cpu.max`, version 1 a folder `cpu`.
    """
    try:
        words = (root / "cpu.max").read_text(encoding="ascii").split()
    except OSError:
        files = [root / "cpu" / f"cpu.cfs_{name}_us" for name in ("quota", "period")]
        try:
            words = [file.read_text(encoding="ascii").strip() for file in files]
        except OSError:
            return None
    if len(words) != 2 or words[0] in ("max", "-1"):
        return None
    return int(words[0]) / int(words[1])
