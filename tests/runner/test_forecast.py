"""The line about what a run will take: once, from its own figures."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, List

import pytest
import torch

from epo.memory import peak_resident_bytes, resident_bytes
from epo.runner import forecast
from epo.runner.forecast import Forecast, MemoryMeter, fixed_bytes

CPU = torch.device("cpu")


def loop(frames: int, max_frames: Any = 3_600_000) -> Any:
    cfg = SimpleNamespace(num_envs=64, num_agents=4, max_frames=max_frames)
    return SimpleNamespace(frames=frames, cfg=cfg)


def seen(times: List[float], capsys: pytest.CaptureFixture, **settings: Any) -> str:
    """Look after iterations of 1,000 frames that end at these times; return what is printed."""
    clock = iter(times)
    told = Forecast(MemoryMeter(CPU), lambda: next(clock, times[-1]))
    for number in range(1, len(times) + 3):
        told.look(loop(1000 * number, **settings))
    return capsys.readouterr().out


def test_run_says_once_what_it_will_take(capsys):
    printed = seen([100.0, 104.0, 109.0, 120.0], capsys)
    # 3,000 frames in 20 s; the first iteration, which also compiles, is left out.
    assert printed.startswith("plan: 150 frames/s, 6.67 h to max_frames=3.60 M; simulator ")
    assert printed.count("\n") == 1
    found = re.search(r"on cpu, where num_envs=(\d+) would fit", printed)
    assert found is not None and int(found[1]) % 4 == 0


def test_less_than_an_hour_is_told_in_minutes_and_seconds(capsys):
    printed = seen([0.0, 20.0], capsys, max_frames=7_500)
    assert printed.startswith("plan: 50 frames/s, 0:02:30 to max_frames=7.50 k; ")


def test_run_without_a_limit_is_told_the_time_of_many_frames(capsys):
    assert "h to 1 G frames (no max_frames); " in seen([0.0, 11.0], capsys, max_frames=None)


def test_run_that_ends_early_says_nothing(capsys):
    assert seen([0.0, 9.0], capsys) == ""


def test_memory_is_that_of_environments_and_of_learning(monkeypatch):
    readings = {"now": 100, "peak": 0}
    monkeypatch.setattr(forecast, "resident_bytes", lambda: readings["now"])
    monkeypatch.setattr(forecast, "peak_resident_bytes", lambda: readings["peak"])
    monkeypatch.setattr(forecast, "free_bytes", lambda device: 10_000)
    meter = MemoryMeter(CPU)
    readings["now"] = 740
    meter.note_simulator()
    readings["peak"] = 1_400
    assert (meter.simulator_bytes, meter.learner_bytes) == (640, 660)
    # 9,000 bytes may be taken; 20 are the networks', 20 more go to each of 64 environments.
    assert meter.fitting_envs(loop(0).cfg, 20) == 448
    assert MemoryMeter(CPU, num_sharing=4).free_bytes == 2_500
    assert fixed_bytes({"model.parameters": 8, "a.moments": 12, "rollout.reward": 99}) == 20


def test_warming_up_draws_no_random_number():
    state = torch.get_rng_state()
    MemoryMeter(CPU)
    assert torch.equal(torch.get_rng_state(), state)
    assert peak_resident_bytes() >= resident_bytes() > 0
