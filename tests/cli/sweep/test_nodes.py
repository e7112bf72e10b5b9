from __future__ import annotations

from pathlib import Path

import pytest

from epo.cli.sweep import nodes

JOB = {
    "SLURM_JOB_ID": "20007",
    "SLURM_JOB_NUM_NODES": "2",
    "SLURM_JOB_NODELIST": "n[1-2]",
    "SLURM_NODEID": "1",
    "SLURM_GPUS_ON_NODE": "4",
    "SLURM_RESTART_COUNT": "3",
}


def test_outside_of_a_job_there_is_one_node():
    assert (nodes.num_nodes({}), nodes.node_rank({})) == (1, 0)


def test_processes_of_all_nodes_meet_at_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fake = tmp_path / "scontrol"
    fake.write_text("#!/bin/sh\n[ $2 = node ] && echo A=b NodeAddr=10.0.0.1 || echo n1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    words = nodes.torchrun(JOB)
    assert words[:4] == ["-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=4"]
    # Every start of a job has a meeting of its own, at the same port on all nodes.
    assert words[-2:] == ["--rdzv-id=20007-3", "--rdzv-endpoint=10.0.0.1:20007"]
    assert (nodes.num_nodes(JOB), nodes.node_rank(JOB)) == (2, 1)
