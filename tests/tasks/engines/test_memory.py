"""The memory that worlds need: against what is really allocated, and what is said if it lacks."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

pytest.importorskip("mujoco.batch")
pytest.importorskip("mujoco_warp", minversion="4.0")

import torch
import warp as wp

from tasks.allegro_kuka.objects import mass
from tasks.allegro_kuka.scene import build_scene, capacity
from tasks.allegro_kuka.worlds import Worlds, model_fields
from tasks.engines import memory
from tasks.engines.capacity import Capacity
from tasks.engines.config import MujocoWarpCfg
from tasks.engines.memory import Need, check_memory, free_bytes, mujoco_warp_need
from tests.tasks.engines.driving import random_half_size
from tests.tasks.worlds import robots, warp_worlds, worlds

CUDA = torch.device("cuda:0")
GIB = 2**30


class Allocations:
    """Warp's allocator of main memory, watched."""

    def __init__(self, monkeypatch):
        self.now = self.peak = 0
        allocator = wp.get_device_allocator("cpu")
        self._allocate, self._free = allocator.allocate, allocator.deallocate
        monkeypatch.setattr(allocator, "allocate", self.allocate)
        monkeypatch.setattr(allocator, "deallocate", self.free)

    def allocate(self, size):
        self.now += size
        self.peak = max(self.peak, self.now)
        return self._allocate(size)

    def free(self, pointer, size):
        self.now -= size
        self._free(pointer, size)


@pytest.mark.parametrize(
    ("num_arms", "goal", "wall", "is_randomized"),
    [
        (1, "box", "none", True),
        pytest.param(1, "bucket", "none", False, marks=pytest.mark.slow),
        pytest.param(2, "box", "partition", False, marks=pytest.mark.slow),
    ],
)
def test_need_of_the_gpu_engine_is_what_it_allocates(
    num_arms, goal, wall, is_randomized, monkeypatch
):
    num_envs, joints = 256, 23 * num_arms
    model, layout = build_scene(num_arms, goal, wall=wall)
    half = random_half_size(num_envs)
    worlds = Worlds(half, mass(half))
    if is_randomized:
        ones = torch.ones(num_envs, joints)
        worlds = Worlds(half, mass(half), ones[:, 0], ones, ones)
    cfg = MujocoWarpCfg(graph=False)
    fields = model_fields(model, layout, worlds)
    need = mujoco_warp_need(model, fields, capacity(layout))

    gc.collect()  # What others leave behind would be freed in the midst of it.
    allocations = Allocations(monkeypatch)
    sim = robots(worlds, cfg, num_arms, goal, wall)
    sim.step()
    assert need.fixed + num_envs * need.per_world == pytest.approx(allocations.peak, rel=0.1)


def test_need_grows_with_the_room_for_contacts_and_rows():
    model, layout = build_scene(1, "box")
    half = random_half_size(2)
    fields = model_fields(model, layout, Worlds(half, mass(half)))
    small, rows, contacts = (
        mujoco_warp_need(model, fields, Capacity(*room))
        for room in ((24, 128), (24, 256), (48, 128))
    )
    # Each row: 32 (padded) Jacobian entries and more; each contact: 9 + 3 + 5 + 5 floats and more.
    assert rows.per_world - small.per_world > 128 * 32 * 4
    assert contacts.per_world - small.per_world > 24 * 22 * 4


RESIDENT = """
import mmap, torch
from tasks.allegro_kuka.scene import build_scene
from tasks.engines.memory import mujoco_need
from tasks.allegro_kuka.worlds import Worlds, model_fields
from tests.tasks.worlds import worlds

def resident():
    with open("/proc/self/statm") as pages:
        return int(pages.read().split()[1]) * mmap.PAGESIZE

half, kept = torch.full((4096, 3), 0.025), [worlds(torch.full((8, 3), 0.025))]
for arms in (1, 2):
    model, layout = build_scene(arms, "box")
    need = mujoco_need(model, model_fields(model, layout, Worlds(half, half[:, 0])))
    before = resident()
    kept.append(worlds(half, arms))
    print((need.fixed + len(half) * need.per_world) / (resident() - before))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_need_of_the_cpu_engine_is_what_it_allocates():
    command = [sys.executable, "-c", RESIDENT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [float(line) for line in done.stdout.split()] == pytest.approx([1.0, 1.0], abs=0.15)


@pytest.mark.parametrize("make", [worlds, warp_worlds])
def test_engines_refuse_more_worlds_than_fit_before_they_allocate_any(make, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 4 * 2**20)
    with pytest.raises(ValueError, match=r"num_envs=1024.* on cpu.*"):
        make(random_half_size(1024))


def test_worlds_that_fit_are_accepted_and_others_told_how_many_fit(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 2 * GIB)
    need = Need(fixed=0, per_world=GIB // 512)
    check_memory(1024, need, CUDA)
    with pytest.raises(ValueError) as error:
        check_memory(1025, need, CUDA)
    assert str(error.value) == (
        "num_envs=1025 is impossible: its physics needs 2.0 GiB on cuda:0, where 2.0 GiB are free; "
        "at most 1024 fit: use num_envs=1024"
    )


def test_suggestion_is_a_multiple_of_64_and_leaves_room_for_what_is_shared(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: GIB)
    # (1024 - 24) MiB / 2 MiB = 500 worlds, rounded down to 448.
    with pytest.raises(ValueError, match="use num_envs=448"):
        check_memory(512, Need(fixed=24 * 2**20, per_world=2 * 2**20), CUDA)


def test_a_device_without_memory_is_named(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 2**20)
    with pytest.raises(ValueError, match="free memory on cuda:0"):
        check_memory(64, Need(fixed=2**21, per_world=1000), CUDA)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_free_memory_of_this_machine_is_sensible():
    free = free_bytes(torch.device("cpu"))
    assert 2**26 < free < 2**46
