"""A curriculum of several ranks follows the successes on all of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from epo.envs import PooledEnv
from tests.tasks.allegro_kuka.doubles import still_env, task_cfg


@pytest.mark.parametrize(("elsewhere", "expected"), [(0.0, 0.075), (2.0, 0.0675)])
def test_curriculum_follows_the_mean_over_the_ranks(elsewhere: float, expected: float):
    env = still_env(task_cfg("AllegroKukaRegrasping", "curriculum.interval_steps=1"), 2)
    assert isinstance(env, PooledEnv)
    env.reset()
    # 4 successes here: with 0 elsewhere the mean of two ranks is 2, with 2 it is the 3 it takes.
    env.pool(lambda successes: (successes + elsewhere) / 2.0)
    env.episode = replace(env.episode, previous_successes=torch.full((2,), 4.0))
    env.step(torch.zeros(2, env.spec.action_dim))
    assert env.curriculum.tolerance.tolist() == pytest.approx([expected])
