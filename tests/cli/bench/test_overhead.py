"""What counts as overhead, with a clock that moves only where the work says so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Dict

import pytest
import torch

import epo.cli.bench.overhead
from epo import stopwatch
from epo.cli.bench import timing
from epo.cli.bench.overhead import OuterStopwatch, overhead_share
from epo.learner.diagnostics import Diagnostics
from epo.learner.metrics import MetricMeans
from tests.stand_in import replace_in

CPU = torch.device("cpu")


class Clock:
    """A clock that stands still unless told to move."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def spend(self, seconds: float) -> Any:
        """Return a method that takes so long."""

        def method(*_: Any, **__: Any) -> None:
            self.now += seconds

        return method


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (stopwatch, timing):
        replace_in(module, "time.perf_counter", clock, monkeypatch)
    return clock


def test_inner_sections_are_part_of_the_outer_one(clock: Clock):
    stopwatch = OuterStopwatch(CPU)
    with stopwatch.section("bookkeeping"):
        clock.now += 1.0
        with stopwatch.section("bookkeeping"):
            clock.now += 2.0
    with stopwatch.section("bookkeeping"):
        clock.now += 4.0
    assert stopwatch.read() == {"bookkeeping": 7.0}


class FakeTrainer:
    """20 s of simulation, 30 + 1 s of collecting, 40 + 2 + 3 s of learning, 4 s of recording."""

    env = SimpleNamespace(device=CPU)

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.tracker = SimpleNamespace(update=clock.spend(1.0))
        self.last_metrics: Dict[str, float] = {}

    def iterate(self) -> None:
        self.clock.now += 20.0 + 30.0
        self.tracker.update()
        self.clock.now += 40.0
        MetricMeans().add("loss", torch.zeros(()))
        Diagnostics.on_update_end(None, None)  # type: ignore[arg-type]
        self.clock.now += 4.0
        self.last_metrics = {"sim_s": 20.0, "act_s": 31.0, "learn_s": 45.0}


def test_overhead_is_neither_simulation_nor_network(clock: Clock, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(MetricMeans, "add", clock.spend(2.0))
    monkeypatch.setattr(Diagnostics, "on_update_end", clock.spend(3.0))
    monkeypatch.setattr(epo.cli.bench.overhead, "checkpoint_s", lambda *_: 6.0)
    monkeypatch.setattr(epo.cli.bench.overhead, "generation_s", lambda *_: 4.0)
    trainer: Any = FakeTrainer(clock)
    share = overhead_share(trainer, SimpleNamespace(), repetitions=3)  # type: ignore[arg-type]
    # 1 + 2 + 3 + 4 s of an iteration, and 6 + 4 s of what is rare; 20 + 30 + 40 s are not.
    assert share == pytest.approx((10 + 10) / (10 + 10 + 90))
    before = clock.now
    trainer.tracker.update()
    assert clock.now == before + 1.0
