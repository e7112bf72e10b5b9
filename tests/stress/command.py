"""The real command as a process, what it said, and what it left in its folder."""

from __future__ import annotations

import csv
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import torch

from tests.composed import REPOSITORY
from tests.integration.command import TIMES

TIMEOUT_S = 1800.0
"""Most time of one command, s: far beyond what any needs, also at nice 19 on a loaded machine."""
TINY = (
    *("device=cpu", "algo.network.kind=mlp", "algo.network.mlp_units=[16]", "algo.ppo.horizon=8"),
    *("algo.ppo.minibatch_size=null", "algo.ppo.num_minibatches=2", "algo.ppo.num_epochs=1"),
    *("algo.evolution.warmup_frames=1000", "algo.evolution.interval_frames=1000"),
    *("algo.evolution.noise_guard=0", "algo.evolution.gap_ratio=0.01", "record.console=plain"),
)
NETWORK = ("task=ProbeReach", "algo=epo", "num_agents=8", "num_envs=64", *TINY)
"""EPO on a probe: iterations of some 40 ms, a generation every second one."""
PHYSICS = ("experiment=laptop", "max_minutes=null", "num_agents=4", "num_envs=16", *TINY)
"""The laptop experiment, MuJoCo and the Allegro-Kuka task, with a tiny network and population."""


class Done(NamedTuple):
    """How a command ended.

    Attributes:
        code: exit code; negative: the signal that killed it; None: it did not end in time.
        out: standard output.
        err: standard error.
    """

    code: Optional[int]
    out: str
    err: str

    @property
    def fault(self) -> str:
        """Say what is not a clear line or a valid end; empty if nothing is wrong."""
        if "Traceback (most recent call last)" in self.out + self.err:
            return f"traceback: {last_line(self.err)}"
        if self.code is None:
            return "did not end in time"
        if self.code < 0:
            return f"killed by signal {-self.code}: {last_line(self.err)}"
        if self.code in (1, 2) and not self.errors:
            return f"code {self.code} without a line that says error: {last_line(self.err)}"
        if self.code == 2 and len(self.errors) != 1:
            return f"{len(self.errors)} error lines"
        return ""

    @property
    def errors(self) -> List[str]:
        """The lines that say what is wrong."""
        return [line for line in self.err.splitlines() if line.startswith("error:")]


def start(
    arguments: Sequence[str], cwd: Path, prefix: Sequence[str] = (), **options: Any
) -> subprocess.Popen:
    """Start train.py on the CPU with one thread."""
    process_options: Dict[str, Any] = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "stdin": subprocess.DEVNULL,
        "text": True,
        "errors": "replace",
        **options,
    }
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    environment.update(process_options.pop("env", {}))
    return subprocess.Popen(
        [*prefix, sys.executable, str(REPOSITORY / "train.py"), *arguments],
        cwd=str(cwd),
        env=environment,
        **process_options,
    )


def wait(process: subprocess.Popen, timeout_s: float = TIMEOUT_S) -> Done:
    """Wait for the end of a command; one that takes too long is killed."""
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        return Done(None, out or "", err or "")
    return Done(process.returncode, out or "", err or "")


def train(arguments: Sequence[str], cwd: Path, prefix: Sequence[str] = (), **options: Any) -> Done:
    """Run train.py to its end."""
    return wait(start(arguments, cwd, prefix, **options))


def last_line(text: str) -> str:
    """Return the last line that is not empty."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")


def contents(folder: Path) -> Dict[str, str]:
    """Return every file below `folder` with the hash of its bytes, and every folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
    return found


def changes(before: Dict[str, str], after: Dict[str, str]) -> str:
    """Name the files that are not the same; empty if all are."""
    names = sorted({*before, *after})
    return ", ".join(name for name in names if before.get(name) != after.get(name))


def num_rows(run_dir: Path) -> int:
    """Count the complete rows of metrics.csv."""
    path = run_dir / "metrics.csv"
    return max(path.read_bytes().count(b"\n") - 1, 0) if path.is_file() else 0


def differing(one: Path, other: Path, may_lack_rows: bool = False) -> str:
    """Say what two runs recorded differently, but for times; empty: every number is the same.

    Args:
        one: folder of the undisturbed run.
        other: folder of the other one.
        may_lack_rows: compare the rows that are there, and the weights.
    """
    for name in ("metrics.csv", "generations.csv"):
        ours, theirs = _rows(one / name), _rows(other / name)
        if may_lack_rows:
            there = {row["iteration"] for row in theirs}
            ours = [row for row in ours if row["iteration"] in there]
        if len(ours) != len(theirs):
            return f"{name} has {len(theirs)} rows, expected {len(ours)}"
        for number, (row, expected) in enumerate(zip(theirs, ours), 1):
            if set(row) != set(expected):
                return f"{name} has other columns: {sorted(set(row) ^ set(expected))}"
            wrong = [key for key in row if row[key] != expected[key]]
            if wrong:
                key = wrong[0]
                return f"{name}, row {number}, {key}: {row[key]}, expected {expected[key]}"
    ours, theirs = _weights(one), _weights(other)
    if set(ours) != set(theirs):
        return "the networks have other names"
    wrong = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    return f"weights differ: {wrong[0]}" if wrong else ""


def _rows(path: Path) -> List[Dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return [{key: row[key] for key in row if key not in TIMES} for row in rows]


def _weights(run_dir: Path) -> Dict[str, torch.Tensor]:
    content = torch.load(str(run_dir / "checkpoints" / "last.pt"), weights_only=True)
    return content["state"]["model"]
