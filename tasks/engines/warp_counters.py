"""What went wrong on the device since the start: counted there, read off the hot path."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from tasks.engines.capacity import Capacity

_NAMES: tuple[str, ...] = ("bad_worlds", "contact_overflow", "constraint_overflow")
_EVERY = 128
"""Control steps between two looks at the counters."""
_LOG = logging.getLogger(__name__)


class Counters:
    """Counts of world steps, that is of control steps of one world in which it happened.

    Attributes:
        totals: [3] int64 on the device: the world was bad, contacts were dropped because the
            buffer was full, constraint rows were.
    """

    def __init__(self, room: Capacity, device: torch.device) -> None:
        """Start at zero; `room` is what the warnings name."""
        self.totals = torch.zeros(len(_NAMES), dtype=torch.int64, device=device)
        self._room, self._steps, self._warned = room, 0, set()
        if self.totals.is_cuda:
            self._host = torch.zeros_like(self.totals, device="cpu", pin_memory=True)
            self._copied = torch.cuda.Event()

    def read(self) -> dict[str, int]:
        """Return all counts and warn about overflows; waits for the device."""
        return self._report(self.totals)

    def poll(self) -> None:
        """Warn about overflows of the steps up to a while ago, without waiting for the device."""
        self._steps += 1
        if self._steps % _EVERY:
            return
        if not self.totals.is_cuda:
            self._report(self.totals)
        elif self._copied.query():
            self._report(self._host)
            self._host.copy_(self.totals, non_blocking=True)
            self._copied.record(torch.cuda.current_stream(self.totals.device))

    def _report(self, totals: Tensor) -> dict[str, int]:
        counts: dict[str, int] = dict(zip(_NAMES, totals.tolist(), strict=True))
        self._warn(
            counts["contact_overflow"],
            "contacts",
            f"engine.max_contacts (now {self._room.contacts} per world, on average)",
        )
        self._warn(
            counts["constraint_overflow"],
            "constraint rows",
            f"engine.max_constraints (now {self._room.constraints} per world)",
        )
        return counts

    def _warn(self, count: int, what: str, setting: str) -> None:
        """Warn once about each kind."""
        if count and what not in self._warned:
            self._warned.add(what)
            _LOG.warning(
                "the physics dropped %s in %d steps of single worlds so far: raise %s",
                what,
                count,
                setting,
            )
