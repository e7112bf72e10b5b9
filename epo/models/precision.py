"""Precision of the networks' products: float32, or bfloat16 where the processor multiplies it."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import torch

_CPU_FLAGS = ("avx512_bf16", "amx_bf16", "bf16", "svebf16")
"""Words in the kernel's list of what a processor can do: x86, then ARM."""


def trunk_dtype(precision: str) -> Optional[torch.dtype]:
    """Return what the trunk's products are computed in by `precision`; None: what they come in."""
    return torch.bfloat16 if precision == "bf16" else None


def supports_bf16(device: str) -> bool:
    """Return whether the processor of `device` multiplies bfloat16 by itself, without emulation."""
    kind, _, index = device.partition(":")
    if kind == "cuda":
        if not torch.cuda.is_available():
            return False
        major, _ = torch.cuda.get_device_capability(int(index or 0))
        return major >= 8  # Ampere
    return _cpu_supports_bf16()


def _cpu_supports_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Look it up where Linux says it; elsewhere assume that it is not so."""
    if not cpuinfo.exists():
        return False
    for line in cpuinfo.read_text().splitlines():
        name, _, words = line.partition(":")
        if name.strip().lower() in ("flags", "features"):
            return any(flag in words.split() for flag in _CPU_FLAGS)
    return False
