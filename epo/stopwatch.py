"""Wall-clock split of an iteration, without waiting for the device in between."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import Dict, Iterator, List, Tuple

import torch


class Stopwatch:
    """Add up the time of named sections; on CUDA by events, read once per iteration.

    Args:
        device: where the timed work runs.

    Attributes:
        open_section: the innermost section that the work is in, empty outside; after an exception
            the one that it came from.
    """

    def __init__(self, device: torch.device) -> None:
        self._is_cuda = device.type == "cuda"
        self._seconds: Dict[str, float] = {}
        self._events: List[Tuple[str, torch.cuda.Event, torch.cuda.Event]] = []
        self.open_section = ""

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Count the time spent in the body under `name`."""
        outer, self.open_section = self.open_section, name
        if self._is_cuda:
            start = torch.cuda.Event(enable_timing=True)
            end = torch.cuda.Event(enable_timing=True)
            start.record()
            yield
            end.record()
            self._events.append((name, start, end))
        else:
            begin = time.perf_counter()
            yield
            elapsed = time.perf_counter() - begin
            self._seconds[name] = self._seconds.get(name, 0.0) + elapsed
        self.open_section = outer

    def read(self) -> Dict[str, float]:
        """Return seconds per section since the last call, and start again.

        Call it after the iteration's one device-to-host transfer: all events are over then.
        """
        for name, start, end in self._events:
            elapsed = start.elapsed_time(end) / 1000.0
            self._seconds[name] = self._seconds.get(name, 0.0) + elapsed
        seconds, self._seconds, self._events = self._seconds, {}, []
        return seconds
