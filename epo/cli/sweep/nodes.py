"""A run on several nodes of a Slurm job: torchrun on each of them, for the launcher `slurm`."""

from __future__ import annotations

import os
import subprocess
from typing import List, Mapping

PORTS = 20_000
"""First of as many ports; the job's number chooses one, the same on all nodes."""


def num_nodes(environment: Mapping[str, str] = os.environ) -> int:
    """Return on how many nodes this job of Slurm runs; 1 outside of one."""
    return int(environment.get("SLURM_JOB_NUM_NODES", "1"))


def node_rank(environment: Mapping[str, str] = os.environ) -> int:
    """Return which of the job's nodes this is."""
    return int(environment.get("SLURM_NODEID", "0")) if num_nodes(environment) > 1 else 0


def torchrun(environment: Mapping[str, str] = os.environ) -> List[str]:
    """Return the words between Python and train.py: a process for every GPU of every node."""
    job = environment["SLURM_JOB_ID"]
    attempt = environment.get("SLURM_RESTART_COUNT", "0")
    address = first_address(environment["SLURM_JOB_NODELIST"])
    return [
        *("-m", "torch.distributed.run", f"--nnodes={num_nodes(environment)}"),
        f"--nproc-per-node={environment.get('SLURM_GPUS_ON_NODE', '1')}",
        *("--max-restarts=0", "--rdzv-backend=c10d", f"--rdzv-id={job}-{attempt}"),
        f"--rdzv-endpoint={address}:{PORTS + int(job) % PORTS}",
    ]


def first_address(nodes: str) -> str:
    """Return where the first of Slurm's list of nodes is reached."""
    name = _scontrol("show", "hostnames", nodes).split()[0]
    words = _scontrol("show", "node", name).split()
    return next((w[len("NodeAddr=") :] for w in words if w.startswith("NodeAddr=")), name)


def _scontrol(*words: str) -> str:
    done = subprocess.run(["scontrol", *words], stdout=subprocess.PIPE, check=True)
    return done.stdout.decode("utf-8", errors="replace")
