"""Python, cores, memory, disk, and who else is busy."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path
from typing import List

from epo import cores as cpu
from epo.cli.doctor.finding import BAD, OFF, OK, Check, Finding

SHARED_MEMORY = Path("/dev/shm")
OLDEST_PYTHON, ENGINES_FROM = (3, 8), (3, 11)
LEAST_SHARED_MEMORY_GB = 1.0
"""Workers of Gymnasium tasks and torch's loaders share arrays there; docker gives 0.06 GB."""
LEAST_DISK_GB = 5.0
"""A run of the published length leaves some GB: checkpoints of 100 MB, events, videos."""
BUSY_SHARE = 0.25
"""Load of others, as a share of the cores, from which timings are wrong."""
_GB = 1e9


def python() -> Finding:
    """Tell the version; the MuJoCo engines need a newer one than the learner."""
    version, found = sys.version_info[:2], f"{platform.python_version()} ({sys.executable})"
    if version < OLDEST_PYTHON:
        return Finding("Python", BAD, found, "use 3.11 or later (3.8 with Isaac Gym)")
    if version < ENGINES_FROM:
        fix = "the MuJoCo engines need 3.11 or later: make PYTHON=python3.11"
        return Finding("Python", OFF, found, fix)
    return Finding("Python", OK, found)


def cores() -> Finding:
    """Compare the cores that threads are started for with those that a container pays for."""
    granted, quota = len(cpu.core_ids()), cpu.cpu_quota(cpu.CGROUP)
    found = f"{granted} granted" + ("" if quota is None else f", quota of {quota:g}")
    if quota is not None and quota < granted - 0.01:
        few = max(1, int(quota))
        fix = (
            f"torch's threads beyond the quota wait for each other: taskset -c 0-{few - 1} "
            f"python ..., or OMP_NUM_THREADS={few}"
        )
        return Finding("CPU cores", BAD, found, fix)
    return Finding("CPU cores", OK, found)


def load() -> Finding:
    """Return how busy the machine is with other work."""
    if not hasattr(os, "getloadavg"):
        return Finding("other processes", OFF, "unknown on this system")
    busy, num_cores = os.getloadavg()[0], os.cpu_count() or 1
    found = f"load {busy:.1f} on {num_cores} cores"
    if busy > BUSY_SHARE * num_cores:
        fix = "others compute here: timings mean little, and threads that wait are slow (htop)"
        return Finding("other processes", BAD, found, fix)
    return Finding("other processes", OK, found)


def shared_memory() -> Finding:
    """Tell the room in /dev/shm."""
    if not SHARED_MEMORY.is_dir():
        return Finding("shared memory", OFF, f"no {SHARED_MEMORY}")
    size_gb = shutil.disk_usage(SHARED_MEMORY).total / _GB
    found = f"{size_gb:.1f} GB in {SHARED_MEMORY}"
    if size_gb < LEAST_SHARED_MEMORY_GB:
        fix = "in a container: docker run --shm-size=8g, or task.vectorization=sync"
        return Finding("shared memory", BAD, found, fix)
    return Finding("shared memory", OK, found)


def disk() -> Finding:
    """Tell the room where runs are written."""
    free_gb = shutil.disk_usage(Path.cwd()).free / _GB
    found = f"{free_gb:.0f} GB free in {Path.cwd()}"
    if free_gb < LEAST_DISK_GB:
        return Finding("disk", BAD, found, "make room, or choose another run_dir")
    return Finding("disk", OK, found)


CHECKS: List[Check] = [python, cores, load, shared_memory, disk]
