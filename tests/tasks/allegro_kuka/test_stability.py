"""Random actions on all 947 boxes: the physics stays sane and the guard sees what does not."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("mujoco.batch")

import torch

from tasks import registry
from tasks.allegro_kuka.objects import half_size, object_scales
from tasks.allegro_kuka.resets import TABLE_TOP_M
from tasks.engines.config import MujocoCfg
from tasks.engines.simulator import MAX_SPEED_M_S
from tests.tasks.allegro_kuka.doubles import task_cfg
from tests.tasks.worlds import worlds

SETS = ("small_cuboids", "big_cuboids", "sticks")
ARM_STEP_RAD = 10 / 60  # Action 1 of the one-arm task: 10 rad/s.


def begin(sim, half):
    """Home posture, every box flat above the table: no box starts inside it."""
    pose = sim.object_pose.clone()
    pose[:, 2] = TABLE_TOP_M + half[:, 2] + 0.02
    return sim.joint_pos.clone(), sim.joint_vel.clone(), pose, torch.zeros(sim.num_envs, 6)


def shake(sim, half, steps, is_delta, seed):
    """Take random actions, new every sixth step, and put bad worlds back to the start.

    Returns:
        bad: [N] bool, worlds that were ever flagged.
        fastest: [N] largest object speed in a world while it was not flagged, m/s.
        finite: whether all states stayed finite.
    """
    generator = torch.Generator().manual_seed(seed)
    is_arm = torch.arange(sim.ctrl.shape[1]) % 23 < 7
    lower, upper = sim.joint_lower, sim.joint_upper
    start = begin(sim, half)
    sim.set_state(torch.ones(sim.num_envs, dtype=torch.bool), *start)
    ever, fastest, finite = torch.zeros(sim.num_envs, dtype=torch.bool), torch.zeros(()), True
    action = torch.zeros_like(sim.ctrl)
    for step in range(steps):
        if step % 6 == 0:
            action = 2 * torch.rand(sim.ctrl.shape, generator=generator) - 1
        absolute = lower + (action + 1) / 2 * (upper - lower)
        delta = (sim.ctrl + ARM_STEP_RAD * action).clamp(lower, upper)
        sim.ctrl.copy_(torch.where(is_arm & is_delta, delta, absolute))
        sim.step()
        finite &= bool(sim.joint_vel.isfinite().all() and sim.object_pose.isfinite().all())
        speed = sim.site_linvel[~sim.bad, 0].norm(dim=1)
        fastest = torch.maximum(fastest, speed.max())
        ever |= sim.bad
        sim.ctrl.copy_(torch.where(sim.bad[:, None], start[0], sim.ctrl))
        sim.set_state(sim.bad, *start)
    return ever, fastest, finite


@pytest.mark.slow
@pytest.mark.parametrize(("num_arms", "steps"), [(1, 90), (2, 45)])
def test_random_actions_keep_every_object_sane(num_arms, steps):
    half = half_size(object_scales(SETS))
    assert len(half) == 947
    sim = worlds(half, num_arms, num_threads=0)
    bad, fastest, finite = shake(sim, half, steps, is_delta=num_arms == 1, seed=0)
    assert finite
    assert fastest <= MAX_SPEED_M_S
    # Flicked thin plates spin faster than 100 rad/s in about 1 of 947 worlds x 5 s.
    assert bad.sum() <= 4
    # Every flagged world was repaired by its reset.
    assert not sim.bad.any()


@pytest.mark.parametrize(
    "name",
    [
        "AllegroKukaThrow",
        *(
            pytest.param(f"AllegroKukaTwoArmsReorientation{wall}", marks=pytest.mark.slow)
            for wall in ("Partition", "Barrier")
        ),
    ],
)
def test_random_actions_keep_bucket_and_walls_sane(name):
    env: Any = registry.make(task_cfg(name), MujocoCfg(), 192, torch.device("cpu"), 0)
    env.reset()
    generator = torch.Generator().manual_seed(0)
    bad, action = 0.0, torch.zeros(192, env.spec.action_dim)
    for step in range(60):
        if step % 6 == 0:
            action = 2 * torch.rand(action.shape, generator=generator) - 1
        result = env.step(action)
        bad += result.scalars["bad_worlds"].item()
        assert result.observation.isfinite().all() and result.reward.isfinite().all()
        # What a new goal or wall is put onto is pushed aside, not flung away.
        assert env.sim.joint_vel.abs().max() < 200
        # The partition may fall off the table, but not through anything.
        assert (env.sim.wall_pose[:, 2:3] > 0.02).all()
    # As in the scenes without: at most a handful of 256 worlds in 5 s.
    assert bad <= 2
    env.close()
