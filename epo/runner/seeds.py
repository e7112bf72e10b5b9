"""Random streams: components never share one, so switching one off does not change another's."""

from __future__ import annotations

import zlib


def derive_seed(seed: int, name: str) -> int:
    """Return the seed of the component `name`."""
    return (seed * 1_000_003 + zlib.crc32(name.encode())) % (2**63 - 1)
