"""How the process keeps memory that was freed."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Parameters of glibc's `mallopt`, from its malloc.h."""


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
