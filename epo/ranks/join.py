"""A process joins the ranks of its run."""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import timedelta
from typing import Iterator

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from epo.config import ConfigError
from epo.ranks.alone import ALONE, Ranks
from epo.ranks.group import Group
from epo.world import find_world


@contextmanager
def joined(device: torch.device, timeout_s: float) -> Iterator[Ranks]:
    """Join the ranks that a launcher has started, and leave them at the end.

    Args:
        device: of this rank, with its index.
        timeout_s: after which a rank that does not answer is given up.

    Raises:
        ConfigError: if the ranks do not find each other.
    """
    world = find_world()
    if world is None:
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    timeout = timedelta(seconds=timeout_s)
    try:
        store, rank, size = next(rendezvous("env://", timeout=timeout))
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=timeout)
    except (RuntimeError, ValueError) as error:
        text = str(error).partition("\n")[0]
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        way_out = f"the ranks do not find each other there ({text}); choose a free port, and an "
        way_out += "address that every node reaches"
        raise ConfigError("MASTER_ADDR:MASTER_PORT", where, way_out) from error
    group = dist.group.WORLD
    assert group is not None
    ranks = Group(group, PrefixStore("epo", store), device, timeout_s)
    yield ranks
    if not ranks.is_broken:  # whoever is gone would be waited for
        dist.destroy_process_group()
