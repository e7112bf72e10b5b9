"""Which rank this process is, by the variables that torchrun and torch's elastic launcher set.

No torch here: a process knows its cores before torch counts them.
"""

from __future__ import annotations

import os
from typing import Mapping, NamedTuple, Optional

from epo.cores import core_ids
from epo.terminal import mute

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What a launcher sets for every rank."""


class World(NamedTuple):
    """One rank among those of a run.

    Attributes:
        rank: in [0, size), over all nodes.
        size: W, ranks of the run.
        local_rank: in [0, local_size), on this node.
        local_size: ranks on this node.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int


def find_world(variables: Mapping[str, str] = os.environ) -> Optional[World]:
    """Tell which rank this process is; None: it is a run of its own."""
    if not all(variables.get(name) for name in VARIABLES):
        return None
    try:
        rank, size, local_rank, local_size = (int(variables[name]) for name in VARIABLES[:4])
    except ValueError:
        return None
    return World(rank, size, local_rank, local_size) if size > 1 else None


def settle() -> None:
    """Take this rank's cores, and be silent unless it is rank 0; without a launcher do nothing."""
    world = find_world()
    if world is None:
        return
    take_cores(world)
    if world.rank:
        mute()


def take_cores(world: World) -> None:
    """Keep this rank on its share of the cores that the ranks of this node may use.

    Whatever counts cores afterwards (torch, physics, workers) counts those of the rank. A node
    with fewer cores than ranks, and a system without affinities, stays as it is.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    cores = core_ids()
    share = len(cores) // world.local_size
    if share:
        first = world.local_rank * share
        os.sched_setaffinity(0, cores[first : first + share])
