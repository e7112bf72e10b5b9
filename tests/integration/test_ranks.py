"""Several ranks through the real command: started, killed, resumed by another launcher."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import List

import pytest

from epo.world import find_world
from tests.composed import REPOSITORY
from tests.integration.command import SMALL, rows, start

SETTINGS = [*SMALL, "record.checkpoint_interval=2"]


def pid_of_rank(rank: int, run_dir: Path) -> int:
    """Return the process of a rank of the run."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().split(b"\0")
            pairs = (pair.partition("=") for pair in (path / "environ").read_text().split("\0"))
            variables = {name: value for name, _, value in pairs}
        except OSError:  # another user's, or gone meanwhile
            continue
        world = find_world(variables)
        if world is not None and world.rank == rank and f"run_dir={run_dir}".encode() in command:
            return int(path.name)
    raise AssertionError(f"no rank {rank} of {run_dir}")


def wait_for(path: Path, process: subprocess.Popen, timeout_s: float = 120.0) -> None:
    """Wait until there is a file."""
    end = time.monotonic() + timeout_s
    while not path.exists():
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.1)


def torchrun(arguments: List[str], cwd: Path) -> subprocess.CompletedProcess:
    """Run train.py on two ranks below torchrun."""
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--max-restarts=0"]
    launcher += ["--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0"]
    return subprocess.run(
        [sys.executable, *launcher, str(REPOSITORY / "train.py"), *arguments],
        cwd=str(cwd),
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for ranks in /proc")
@pytest.mark.parametrize("algo, num_agents", [("sapg", 2), ("pbt", 4)])
def test_a_rank_that_dies_ends_the_run_and_torchrun_goes_on_with_it(
    tmp_path: Path, algo: str, num_agents: int
):
    run_dir, settings = tmp_path / "run", [*SETTINGS, f"algo={algo}", f"num_agents={num_agents}"]
    own = [*settings, f"run_dir={run_dir}", "max_iterations=100000"]
    process = start([*own, "devices=2"], tmp_path)
    wait_for(run_dir / "checkpoints" / "last-1.pt", process)
    killed_at = time.monotonic()
    os.kill(pid_of_rank(1, run_dir), signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1 and time.monotonic() - killed_at < 30.0
    lines = [line for line in said.splitlines() if line.startswith("error:")]
    assert lines and all("rank 1" in line for line in lines), said
    assert "Traceback" not in said and "resume=auto" in lines[0]

    done = int(rows(run_dir)[-1]["iteration"]) + 2
    again = torchrun([*settings, f"resume={run_dir}", f"max_iterations={done}"], tmp_path)
    assert again.returncode == 0, again.stderr
    assert [int(row["iteration"]) for row in rows(run_dir)] == list(range(1, done + 1))
    # Rank 0 alone speaks.
    assert again.stdout.count("look at it") == 1
    assert {"wait_s", "exchange_s"} <= rows(run_dir)[-1].keys()
