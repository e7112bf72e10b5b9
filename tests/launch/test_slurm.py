"""The job scripts with an srun that only prints; a real Slurm: tests/integration/slurm."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Sequence

import pytest

from tests.composed import REPOSITORY

SCRIPTS = REPOSITORY / "launch" / "slurm"
FAKES = {
    "srun": 'printf "%s\\n" "$@"\nexit "${SRUN_CODE:-0}"',
    "scontrol": 'case "$2" in hostnames) echo n1 ;; node) echo "A=b NodeAddr=10.0.0.1 x=y" ;; esac',
}


@pytest.fixture
def submit(tmp_path: Path):
    """Run a job script as Slurm would, and return its code and lines."""
    for name, body in FAKES.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)

    def run(script: str, words: Sequence[str], **environment: str):
        done = subprocess.run(
            ["bash", str(SCRIPTS / script), *words],
            env={
                "PATH": f"{tmp_path}:/usr/bin:/bin",
                "PYTHON": sys.executable,
                "SLURM_SUBMIT_DIR": str(REPOSITORY),
                "SLURM_JOB_ID": "7",
                "SLURM_JOB_NUM_NODES": "2",
                "SLURM_JOB_NODELIST": "n[1-2]",
                "SLURM_ARRAY_JOB_ID": "9",
                "SLURM_ARRAY_TASK_ID": "3",
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout.splitlines()

    return run


def test_run_of_a_job_resumes_in_the_same_folder(submit):
    code, lines = submit("single.sbatch", ["task=A b", "max_frames=9"])
    assert code == 0
    run = ["train.py", "task=A b", "max_frames=9", "run_dir=runs/slurm/7", "resume=auto"]
    assert lines == ["--unbuffered", sys.executable, *run]
    assert submit("single.sbatch", ["run_dir=x"])[1][-2:] == ["run_dir=x", "resume=auto"]


def test_array_gives_every_job_its_seed(submit):
    lines = submit("array.sbatch", ["algo=ppo"])[1]
    assert lines[-4:] == ["algo=ppo", "seed=3", "run_dir=runs/slurm/9/seed3", "resume=auto"]


def test_several_nodes_meet_at_the_first(submit):
    lines: List[str] = submit("nodes.sbatch", ["device=cpu"], NPROC="4")[1]
    for word in ("--nnodes=2", "--nproc-per-node=4", "--rdzv-endpoint=10.0.0.1:20007"):
        assert word in lines
    assert lines.index("torch.distributed.run") < lines.index("train.py")
    assert "--nproc-per-node=8" in submit("nodes.sbatch", [], SLURM_GPUS_ON_NODE="8")[1]


def test_failed_run_fails_the_job(submit):
    assert submit("single.sbatch", [], SRUN_CODE="3")[0] == 3


@pytest.mark.parametrize(
    ("script", "words", "environment", "message"),
    [
        ("single.sbatch", ["resume=never"], {}, "error: resume=never: the job resumes by itself"),
        ("array.sbatch", ["seed=1"], {}, "error: seed=1: the array gives every job its own"),
        ("single.sbatch", [], {"PYTHON": "/no/python"}, "error: PYTHON=/no/python: not found"),
    ],
)
def test_bad_input_is_one_line(
    submit, script: str, words: List[str], environment: Dict[str, str], message: str
):
    code, lines = submit(script, words, **environment)
    assert code == 2 and len(lines) == 1 and lines[0].startswith(message)
