"""Honest times: the device is waited for around a block of steps, never inside it."""

from __future__ import annotations

import statistics
import time
from contextlib import contextmanager
from typing import Any, Callable, Iterator, List, NamedTuple, Sequence

import torch

from epo.stopwatch import Stopwatch


class Rate(NamedTuple):
    """Median, least and greatest of repeated measurements, 1/s."""

    median: float
    low: float
    high: float


def rate(count: float, seconds: Sequence[float]) -> Rate:
    """Return how often something happened that took place `count` times in each of `seconds`."""
    rates = [count / elapsed for elapsed in seconds]
    return Rate(statistics.median(rates), min(rates), max(rates))


def synchronize(device: torch.device) -> None:
    """Wait until the device, with all of its streams, has nothing left to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def elapsed_s(device: torch.device, block: Callable[[], object]) -> float:
    """Run `block` once and give the seconds until its last work on the device is done."""
    synchronize(device)
    begin = time.perf_counter()
    block()
    synchronize(device)
    return time.perf_counter() - begin


def repeated_s(
    device: torch.device,
    repetitions: int,
    block: Callable[[], object],
    before: Callable[[], object] = lambda: None,
) -> List[float]:
    """Time `block` several times; `before` runs ahead of each, outside the time."""
    seconds = []
    for _ in range(repetitions):
        before()
        seconds.append(elapsed_s(device, block))
    return seconds


@contextmanager
def timed(stopwatch: Stopwatch, section: str, owner: Any, method: str) -> Iterator[None]:
    """Count every call of `owner.method` in the body as time of `section`."""
    original = getattr(owner, method)

    def call(*args: Any, **kwargs: Any) -> Any:
        with stopwatch.section(section):
            return original(*args, **kwargs)

    setattr(owner, method, call)
    try:
        yield
    finally:
        setattr(owner, method, original)
