"""Which rank this process is."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from epo.world import World, find_world

TORCHRUN = {
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "node0",
    "MASTER_PORT": "29500",
}


def test_rank_is_that_of_all_nodes():
    assert find_world(TORCHRUN) == World(rank=5, size=8, local_rank=1, local_size=4)


@pytest.mark.parametrize("changed", [{"RANK": ""}, {"WORLD_SIZE": "many"}, {"WORLD_SIZE": "1"}])
def test_anything_else_is_a_run_of_its_own(changed: dict):
    assert find_world({**TORCHRUN, **changed}) is None
    assert find_world({}) is None


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinities")
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_ranks_share_the_cores_of_their_node():
    code = (
        "import os; from epo.world import World, take_cores\n"
        "whole = sorted(os.sched_getaffinity(0)); found = []\n"
        "for rank in (0, 1):\n"
        "    os.sched_setaffinity(0, whole); take_cores(World(rank, 2, rank, 2))\n"
        "    found.append(os.sched_getaffinity(0))\n"
        "assert not found[0] & found[1] and len(found[0]) == len(found[1]) == len(whole) // 2\n"
        "os.sched_setaffinity(0, whole[:1]); take_cores(World(1, 2, 1, 2))\n"
        "assert os.sched_getaffinity(0) == {whole[0]}  # fewer cores than ranks\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
