"""What the machine has: versions, the device, and what `python -m epo doctor` finds, as JSON."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, Dict, List, Sequence

import torch

from epo.cli.bench.report import print_json
from epo.cli.doctor import gpu, machine, tracking
from epo.cli.doctor.command import engines
from epo.cli.doctor.finding import examine
from epo.runner.provenance import versions

SMI = "name,driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit"


def main(arguments: Sequence[str]) -> None:
    """Print the table of a device, such as `cuda`."""
    device = arguments[0]
    checks = [*machine.CHECKS, *gpu.CHECKS, *engines(), *tracking.CHECKS]
    findings = {found.name: f"{found.state}: {found.found}" for found in examine(checks)}
    print_json(device=device, versions=versions(device, {}), findings=findings, **cuda(device))


def cuda(device: str) -> Dict[str, Any]:
    """Describe a CUDA device; nothing for another one."""
    if torch.device(device).type != "cuda":
        return {}
    found = torch.cuda.get_device_properties(torch.device(device))
    return {
        "memory_mb": found.total_memory / 1e6,
        "multiprocessors": found.multi_processor_count,
        "capability": f"{found.major}.{found.minor}",
        "nvidia_smi": smi(),
    }


def smi() -> List[str]:
    """Ask nvidia-smi about driver, clocks and power; nothing where there is none."""
    command = ["nvidia-smi", f"--query-gpu={SMI}", "--format=csv"]
    try:
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.decode("utf-8", errors="replace").splitlines()


if __name__ == "__main__":
    main(sys.argv[1:])
