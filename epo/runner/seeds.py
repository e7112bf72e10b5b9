"""Random streams: components never share one, so switching one off does not change another's."""

from __future__ import annotations

import zlib


def derive_seed(seed: int, name: str) -> int:
    """Return the seed of the component `name`."""
    return (seed * 1_000_003 + zlib.crc32(name.encode())) % (2**63 - 1)


def rank_seed(seed: int, rank: int) -> int:
    """Return the seed of the environments of a rank, over all nodes; rank 0 has the run's."""
    return seed if rank == 0 else derive_seed(seed, f"environments of rank {rank}") % 2**31
