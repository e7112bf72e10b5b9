"""Both engines move the same worlds in the same way: C in float64, Warp in float32."""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("mujoco.batch")
pytest.importorskip("mujoco_warp", minversion="4.0")

import torch

from tasks.allegro_kuka.objects import mass
from tasks.allegro_kuka.worlds import Worlds, model_fields
from tasks.engines.config import MujocoCfg, MujocoWarpCfg
from tasks.engines.memory import own_fields
from tests.tasks.allegro_kuka.test_grasp import BOXES, grasp
from tests.tasks.engines.driving import (
    DEVICES,
    drive,
    everywhere,
    in_the_air,
    on_table,
    random_half_size,
)
from tests.tasks.worlds import robots, warp_worlds

# Largest differences of the median and the worst world after so many control steps: joints (rad)
# and object (m, and components of its quaternion). Measured: medians of 1e-7, maxima below 1e-5,
# 2e-4 and 2e-4 rad, 1e-7, 4e-4 and 9e-4 m; the worst world grows as contacts begin a step apart.
TOLERANCES = {1: (1e-6, 1e-4, 1e-6), 6: (1e-6, 1e-3, 2e-3), 12: (5e-6, 2e-3, 5e-3)}


def random_worlds(half, num_joints):
    """Worlds that differ in everything that can differ."""
    generator = torch.Generator().manual_seed(1)
    num_envs = len(half)
    return Worlds(
        half,
        mass(half) * (0.5 + torch.rand(num_envs, generator=generator)),
        0.5 + torch.rand(num_envs, generator=generator),
        0.7 + 0.6 * torch.rand(num_envs, num_joints, generator=generator),
        0.7 + 0.6 * torch.rand(num_envs, num_joints, generator=generator),
    )


def both_engines(worlds, num_arms=1, goal="box", wall="none", device="cpu"):
    # As many solver iterations as on the CPU: what remains is rounding.
    cfg = MujocoWarpCfg(solver_iterations=0)
    ours = robots(worlds, cfg, num_arms, goal, wall, device=device)
    return ours, robots(worlds, MujocoCfg(num_threads=2), num_arms, goal, wall)


def difference(ours, theirs, name):
    return (getattr(ours, name).cpu() - getattr(theirs, name)).abs()


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("num_arms", "num_envs", "goal", "wall"),
    [
        (1, 48, "box", "none"),
        (1, 16, "bucket", "none"),
        (2, 16, "box", "partition"),
    ],
)
def test_engines_agree_over_a_tenth_and_a_fifth_of_a_second(num_arms, num_envs, goal, wall, device):
    half = random_half_size(num_envs)
    ours, theirs = both_engines(
        random_worlds(half, 23 * num_arms), num_arms, goal, wall, device=device
    )
    start = on_table(theirs, half)
    for sim in (ours, theirs):
        sim.set_state(everywhere(sim), *(x.to(sim.device) for x in start))
    done = 0
    for steps, (median, joints, objects) in TOLERANCES.items():
        for sim in (ours, theirs):
            drive(sim, steps - done, seed=steps)
        done = steps
        for name, most in (("joint_pos", joints), ("object_pose", objects), ("wall_pose", objects)):
            apart = difference(ours, theirs, name)
            if apart.numel():
                assert apart.median() < median, (name, steps)
                assert apart.max() < most, (name, steps)
        for name in ("site_pos", "site_quat", "site_linvel", "site_angvel"):
            assert difference(ours, theirs, name).median() < 10 * median, (name, steps)
    assert not any(ours.counters.read().values())
    loads = [sim.load() for sim in (ours, theirs)]
    for name in ("contacts", "rows"):  # a substep apart
        found, expected = (load[name].cpu().double().mean() for load in loads)
        assert found == pytest.approx(expected.item(), rel=0.2), name


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
def test_worlds_have_the_same_model_fields(device):
    half = random_half_size(4)
    worlds = random_worlds(half, 23)
    ours, theirs = both_engines(worlds, device=device)
    assert torch.equal(ours.object_mass.cpu(), theirs.object_mass)
    for i in range(4):
        (model, _), (expected, _) = ours.world(i), theirs.world(i)
        for name in own_fields(model_fields(model, ours.layout, worlds)):
            values = [getattr(m, name) for m in (model, expected)]
            # invweight comes from float32 factorisations.
            np.testing.assert_allclose(*values, rtol=2e-5, atol=1e-9, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
def test_free_boxes_move_alike_under_random_forces(device):
    half = random_half_size(16)
    ours, theirs = both_engines(random_worlds(half, 23), device=device)
    generator = torch.Generator().manual_seed(2)
    push = torch.randn(16, 6, generator=generator) * torch.tensor([0.3] * 3 + [1e-4] * 3)
    velocity = torch.randn(16, 6, generator=generator)
    posture, speed, pose, _ = in_the_air(theirs)
    pose[:, 3:] = torch.nn.functional.normalize(torch.randn(16, 4, generator=generator))
    for sim in (ours, theirs):
        start = (posture, speed, pose, velocity)
        sim.set_state(everywhere(sim), *(x.to(sim.device) for x in start))
        sim.object_force.copy_(push)
        for _ in range(12):
            sim.step()
    # A fifth of a second with nothing to touch: rounding only.
    assert difference(ours, theirs, "object_pose").max() < 1e-5
    assert difference(ours, theirs, "site_linvel")[:, 0].max() < 1e-4
    assert difference(ours, theirs, "site_angvel")[:, 0].max() < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
def test_scripted_grasp_holds_with_the_engines_own_settings(device):
    half = torch.tensor(BOXES).repeat_interleave(4, dim=0) / 2
    sim = warp_worlds(half, device=device)
    outcome = grasp(sim, half, seed=0)
    # As on the CPU, where the rise is .198-.222 m and the drift at most 8.5 mm.
    assert outcome.height.min() > 0.19 and outcome.height.max() < 0.24
    assert outcome.lowest.min() > 0.15
    assert outcome.drift.max() < 0.015
    assert not any(sim.counters.read().values())
