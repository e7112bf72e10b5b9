"""How much memory a measurement took."""

from __future__ import annotations

import gc
import resource
import sys

import torch


def peak_memory_mb(device: torch.device) -> float:
    """Return what is taken on the device, MB.

    On CUDA everything that is not free on the device now: torch and Warp keep what they took until
    `release_memory`, so it is the peak, and other processes count too. Elsewhere the peak of this
    process since its start.
    """
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return (total - free) / 1e6
    return _peak_of_process_mb()


def own_peak_memory_mb(device: torch.device) -> float:
    """Return what this process has taken on the device, MB, where others run beside it.

    On CUDA what torch holds, without the context; elsewhere the peak of the process.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device) / 1e6
    return _peak_of_process_mb()


def _peak_of_process_mb() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def release_memory(device: torch.device) -> None:
    """Release unused memory, so that the next measurement counts its own."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
