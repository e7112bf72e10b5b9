"""What goes wrong on the device is counted there and reported without being asked."""

from __future__ import annotations

import logging

import pytest

pytest.importorskip("mujoco.batch")
pytest.importorskip("mujoco_warp", minversion="4.0")

import torch

from tasks.engines.capacity import Capacity
from tests.tasks.engines.driving import DEVICES, everywhere, on_table, random_half_size
from tests.tasks.worlds import warp_worlds


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


def test_lost_contacts_and_rows_are_counted_and_reported_once(monkeypatch, caplog, device):
    monkeypatch.setattr(Capacity, "all_contacts", lambda self, num_envs: num_envs * self.contacts)
    half = random_half_size(4)
    sim = warp_worlds(half, device=device, max_contacts=3)
    sim.set_state(everywhere(sim), *on_table(sim, half))
    assert sim.counters.read() == {
        "bad_worlds": 0,
        "contact_overflow": 0,
        "constraint_overflow": 0,
    }
    # A box on the table has four contacts of four rows.
    for _ in range(6):
        sim.step()
    caplog.clear()  # the first simulator of a process says that it compiles
    with caplog.at_level(logging.WARNING):
        counts = sim.counters.read()
        sim.close()
    assert counts["contact_overflow"] > 0 and counts["constraint_overflow"] == 0
    assert [record.message for record in caplog.records] == [
        f"the physics dropped contacts in {counts['contact_overflow']} steps of single worlds so "
        "far: raise engine.max_contacts (now 3 per world, on average)"
    ]


def test_lost_rows_are_reported_without_being_asked(caplog, device):
    half = random_half_size(4)
    sim = warp_worlds(half, device=device, max_constraints=8)
    sim.set_state(everywhere(sim), *on_table(sim, half))
    for _ in range(6):
        sim.step()
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(256):
            sim.counters.poll()
            if device == "cuda":
                torch.cuda.synchronize()
    assert [record.message.partition(": raise ")[2] for record in caplog.records] == [
        "engine.max_constraints (now 8 per world)"
    ]
