"""torch, the driver, and whether this torch has code for this GPU."""

from __future__ import annotations

import ctypes
from typing import List, Optional, Tuple

import torch

from epo.cli.doctor.finding import BAD, OFF, OK, Check, Finding

GRAPHS_FROM = (12, 4)
"""CUDA version of the driver from which conditional nodes in graphs work: MuJoCo Warp's solver."""
BUSY_SHARE = 0.1
"""Share of the GPU's memory that others may hold."""


def torch_build() -> Finding:
    """Tell the version of torch and what it was built for."""
    build = "CPU" if torch.version.cuda is None else f"CUDA {torch.version.cuda}"
    found = f"{torch.__version__} for {build}, {torch.get_num_threads()} threads"
    driver = driver_version()
    if torch.version.cuda is None and driver is not None:
        fix = "there is a GPU that this build cannot use: make clean, then make TORCH=2.13.0"
        return Finding("torch", BAD, found, fix)
    return Finding("torch", OK, found)


def driver() -> Finding:
    """Tell the newest CUDA that the driver runs."""
    version = driver_version()
    if version is None:
        return Finding("NVIDIA driver", OFF, "none", "only device=cuda needs one")
    found = f"CUDA {version[0]}.{version[1]}"
    if version < GRAPHS_FROM:
        wanted = ".".join(map(str, GRAPHS_FROM))
        fix = f"graphs need {wanted} or later: update the driver, or engine.graph=false (slow)"
        return Finding("NVIDIA driver", BAD, found, fix)
    return Finding("NVIDIA driver", OK, found)


def gpus() -> Finding:
    """Tell the GPUs, whether torch has code for them, and how much of them others use."""
    if not torch.cuda.is_available():
        if driver_version() is None or torch.version.cuda is None:
            return Finding("GPU", OFF, "none that torch can use", "device=cpu is used")
        fix = "CUDA_VISIBLE_DEVICES may hide it, or the driver is too old for this torch"
        return Finding("GPU", BAD, "the driver is present, but torch sees no device", fix)
    found, fixes = [], []
    for index in range(torch.cuda.device_count()):
        capability = torch.cuda.get_device_capability(index)
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        found.append(
            f"cuda:{index} {name}, sm_{capability[0]}{capability[1]}, "
            f"{free / 1e9:.0f} of {total / 1e9:.0f} GB free"
        )
        if not has_code(torch.cuda.get_arch_list(), capability):
            fixes.append(f"this torch has no code for cuda:{index}: install one built for it")
        elif free < (1.0 - BUSY_SHARE) * total:
            fixes.append(f"others use cuda:{index} (nvidia-smi): device=cuda:<another index>")
    return Finding("GPU", BAD if fixes else OK, "; ".join(found), "; ".join(fixes))


def has_code(built_for: List[str], capability: Tuple[int, int]) -> bool:
    """Return whether a build runs on a GPU.

    Machine code runs on later minor versions of its major one, PTX (`compute_80`) on all later.

    Args:
        built_for: as `torch.cuda.get_arch_list()`, such as `sm_80`.
        capability: major and minor version of the GPU.
    """
    for architecture in built_for:
        kind, _, digits = architecture.partition("_")
        digits = digits.rstrip("af")  # of one architecture, or of its family, alone
        if not digits.isdigit():
            continue
        number = (int(digits[:-1]), int(digits[-1]))
        same_major = number[0] == capability[0]
        if number <= capability and (same_major or kind == "compute"):
            return True
    return False


def driver_version() -> Optional[Tuple[int, int]]:
    """Ask the driver itself for the newest CUDA that it runs; None: there is no driver."""
    for library in ("libcuda.so.1", "nvcuda.dll"):
        try:
            cuda = ctypes.CDLL(library)
        except OSError:
            continue
        number = ctypes.c_int()
        if cuda.cuDriverGetVersion(ctypes.byref(number)) == 0 and number.value:
            return number.value // 1000, number.value % 1000 // 10
    return None


CHECKS: List[Check] = [torch_build, driver, gpus]
