"""The peers of `bench peers`: each is measured by a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple

from epo import OPENMP
from epo.cli.bench import peer_job
from epo.cli.bench.peer_job import Comparison, Plan
from epo.cli.bench.report import Row
from epo.config import ConfigError

WORKER = Path(__file__).with_name("rl_games_worker.py")
REFERENCES = ("rl_games", "rl_games_our_openmp", "rl_games_compiled")
"""Peers of which the fastest is what ratios are measured against."""


class Setup(NamedTuple):
    """What all processes share: how to measure, and the Python that has rl_games."""

    plan: Plan
    peer_python: Path


Measure = Callable[[Comparison, Setup], Row]
"""Runs one process and gives its row."""


def ours(comparison: Comparison, setup: Setup, same: bool = True, precision: str = "fp32") -> Row:
    """Measure our PPO by `python -m epo bench learn`.

    Args:
        comparison: what to run.
        setup: how.
        same: with the settings of rl_games; else our own defaults, diagnostics included.
        precision: `fp32` or `bf16`.

    Raises:
        ConfigError: if it fails, or measured something else.
    """
    plan = setup.plan
    settings = [*(peer_job.SAME if same else ["algo=ppo"]), *comparison.settings]
    settings.append(f"precision={precision}")
    measuring = [
        "shares=false",
        f"warm_up={plan.warm_up}",
        f"repetitions={plan.repetitions}",
        f"threads={plan.threads}",
        f"dones={plan.dones}",
    ]
    command = [sys.executable, "-m", "epo", "bench", "learn", *settings, *measuring]
    row = _measured(command, environ(plan.threads))
    expected = {"num_envs": comparison.spec.num_envs, "precision": precision}
    for name, value in expected.items():
        if row[name] != value:
            raise ConfigError(name, row[name], f"bench learn measured this instead of {value}")
    return row


def rl_games(
    comparison: Comparison,
    setup: Setup,
    has_our_openmp: bool = False,
    is_compiled: bool = False,
) -> Row:
    """Measure rl_games' PPO by `rl_games_worker`.

    Args:
        comparison: what to run.
        setup: how.
        has_our_openmp: its threads wait as ours do, see `epo.OPENMP`; else as rl_games' own.
        is_compiled: wrap its network in `torch.compile`, as its own command does.

    Raises:
        ConfigError: if it fails, or its work is not ours.
    """
    job = peer_job.job(comparison, setup.plan, is_compiled)
    # Isolated from our packages: neither PYTHONPATH nor the script's folder are searched.
    command = [str(setup.peer_python), "-I", str(WORKER)]
    environment = environ(setup.plan.threads)
    if not has_our_openmp:
        for name in OPENMP:
            environment.pop(name, None)
    row = _measured(command, environment, json.dumps(job))
    peer_job.check_work(row["work"], comparison.work)
    return row


PEERS: Dict[str, Measure] = {
    "epo": ours,
    "rl_games": rl_games,
    "rl_games_our_openmp": partial(rl_games, has_our_openmp=True),
    "epo_bf16": partial(ours, precision="bf16"),
    "epo_default": partial(ours, same=False),
    "rl_games_compiled": partial(rl_games, is_compiled=True),
}
"""The peers by name; what they are: `USAGE` of `peers`."""


def environ(threads: int) -> Dict[str, str]:
    """Give the environment of a process: this one's, `epo.OPENMP` included, and its threads."""
    return {**os.environ, "OMP_NUM_THREADS": str(threads)}


def _measured(command: List[str], environment: Dict[str, str], text: str = "") -> Row:
    """Run a process and give the last line of JSON that it printed.

    Raises:
        ConfigError: if it fails.
    """
    done = subprocess.run(command, env=environment, input=text, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not lines:
        print(done.stderr, file=sys.stderr, flush=True)
        reason = done.stderr.strip().rpartition("\n")[2]
        raise ConfigError("peer", " ".join(command[1:5]), f"ended with {done.returncode}: {reason}")
    row: Dict[str, Any] = json.loads(lines[-1])
    return row
