"""Jobs of a real Slurm: two nodes on this machine, `cluster.sh`. Without Slurm, skipped."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Dict, Iterator

import pytest

from tests.composed import REPOSITORY
from tests.integration.command import SMALL, assert_same_run, train

pytestmark = pytest.mark.slow
CLUSTER = Path(__file__).with_name("cluster.sh")
SCRIPTS = REPOSITORY / "launch" / "slurm"
COMMAND = [*SMALL, "algo=epo", "num_agents=4", "max_iterations=150"]
LONGEST_S = 300


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dict[str, str]]:
    """Start a cluster and return the environment in which its commands work."""
    folder = tmp_path_factory.mktemp("slurm")
    # What the daemons print goes to a file: they would hold a pipe.
    with open(folder / "start.txt", "wb") as output:
        start = subprocess.run([str(CLUSTER), "start", str(folder)], stdout=output, stderr=output)
    if start.returncode:
        subprocess.run([str(CLUSTER), "stop", str(folder)], capture_output=True)
        pytest.skip((folder / "start.txt").read_text().strip()[-300:] or "no Slurm")
    yield {
        **os.environ,
        "SLURM_CONF": str(folder / "slurm.conf"),
        "PATH": f"{os.environ['PATH']}:/usr/sbin",
        "EPO": str(REPOSITORY),
        "PYTHON": sys.executable,
        "PYTHONPATH": str(REPOSITORY),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    subprocess.run([str(CLUSTER), "stop", str(folder)], capture_output=True)


def slurm(cluster: Dict[str, str], *words: str) -> str:
    return subprocess.run(
        words, env=cluster, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def wait_for(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + LONGEST_S
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {LONGEST_S} s"
        time.sleep(0.2)


def num_rows(run: Path) -> int:
    path = run / "metrics.csv"
    return len(path.read_text().splitlines()) - 1 if path.exists() else 0


def state(cluster: Dict[str, str], job: str) -> str:
    return slurm(cluster, "squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={job}")


def test_job_that_is_warned_and_then_moved_is_the_run_that_nobody_disturbed(
    cluster: Dict[str, str], tmp_path: Path
):
    run, output = tmp_path / "moved", tmp_path / "job.out"
    job = slurm(
        cluster,
        *("sbatch", "--parsable", "--cpus-per-task=1", "--time=20", f"--output={output}"),
        *(str(SCRIPTS / "single.sbatch"), *COMMAND, f"run_dir={run}"),
    )
    wait_for(lambda: num_rows(run) > 20, "first session")
    slurm(cluster, "scancel", "--batch", "--signal=USR1", job)  # as before the end of its time
    wait_for(lambda: "continuing" in output.read_text(), "back from the queue")
    assert "SIGUSR1 (a cluster's warning)" in output.read_text()
    begun = num_rows(run)
    wait_for(lambda: num_rows(run) > begun + 10, "second session")
    slurm(cluster, "scontrol", "requeue", job)  # as when a node is taken away
    wait_for(lambda: output.read_text().count("continuing") == 2, "back once more")
    wait_for(lambda: state(cluster, job) == "COMPLETED", "the end")
    train([*COMMAND, f"run_dir={tmp_path / 'whole'}"], tmp_path)
    assert num_rows(run) == 150
    assert_same_run(run, tmp_path / "whole")


def test_sweep_of_jobs_goes_on_after_preemption(cluster: Dict[str, str], tmp_path: Path):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    words = ("seed=1,2", "hydra/launcher=slurm", "hydra.sweep.dir=sweep")
    limits = ("hydra.launcher.cpus_per_task=1", "hydra.launcher.timeout_min=20")
    command = [sys.executable, str(REPOSITORY / "train.py"), "-m", *COMMAND, *words, *limits]
    with open(tmp_path / "out.txt", "wb") as output:
        sweep = subprocess.Popen(
            command, cwd=str(tmp_path), env=cluster, stdout=output, stderr=output
        )
        second = tmp_path / "sweep" / "seed-2"
        wait_for(lambda: num_rows(second) > 20, "the second run")
        jobs = slurm(cluster, "squeue", "--noheader", "--array", "--format=%i").split()
        (job,) = [name for name in jobs if name.endswith("_1")]
        slurm(cluster, "scancel", "--signal=USR2", job)
        assert sweep.wait(timeout=LONGEST_S) == 0, (tmp_path / "out.txt").read_text()
    with open(tmp_path / "sweep" / "sweep.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["run"], row["state"], row["iteration"]) for row in rows] == [
        ("seed-1", "finished", "150"),
        ("seed-2", "finished", "150"),
    ]
    assert "continuing" in (second / "output.txt").read_text()
