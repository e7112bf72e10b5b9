"""Batched environments of others whose clocks can be set, and pictures that they draw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from epo.config import ConfigError
from epo.contract import check_env
from epo.rollout.staggered import stagger
from tasks.vector.clocked import ClockedBatchedEnv
from tasks.vector.config import VectorCfg
from tasks.vector.family import FAMILY
from tests.tasks.vector.test_env import build


def step(env: Any) -> Any:
    return env.step(torch.zeros(env.spec.num_envs, env.spec.action_dim))


def test_first_episodes_begin_late_and_are_partial_to_their_end():
    env: Any = build("make_clock")
    check_env(env)
    assert issubclass(type(env), ClockedBatchedEnv) and env.time_limit == 5
    env.start_late(torch.tensor([0, 1, 3, 4]))
    env.reset()
    steps = [step(env) for _ in range(6)]
    ends = [[int(x) for x in s.truncated.nonzero()[:, 0]] for s in steps]
    # 5, 4, 2 and 1 steps are left; then 5 again, and partial no longer.
    assert ends == [[3], [2], [], [1], [0], [3]]
    assert steps[0].is_partial.tolist() == [False, True, True, True]
    assert steps[3].is_partial.tolist() == [False, True, False, False]
    assert not steps[5].is_partial.any()
    assert 0.0 < float(steps[0].scalars["clock_spread"]) < 0.5
    env.reset()
    assert not step(env).is_partial.any()


def test_clocks_are_spread_over_the_time_limit():
    env: Any = build("make_clock", 20)
    stagger(env, 2, 0)
    env.reset()
    clocks = env.dialect.clock()
    for block in (clocks[:10], clocks[10:]):
        assert block.bincount(minlength=5).tolist() == [2] * 5


def test_environments_without_a_clock_are_refused_when_they_are_built():
    env = build("make_gymnasium")
    assert FAMILY.clock(VectorCfg(), None) is not None  # nothing is known before
    with pytest.raises(ConfigError, match="the clock of Vector cannot be set; use staggered"):
        stagger(env, 1, 0)


def test_own_drawing_is_shown():
    env: Any = build("make_clock")
    env.reset()
    renderer = FAMILY.make_renderer(env, 64, 64)
    step(env)
    step(env)
    np.testing.assert_array_equal(renderer.draw(1), np.full((4, 6, 3), 2))
    env.dialect.env.draw = None
    with pytest.raises(ValueError, match="built without render_mode=rgb_array"):
        FAMILY.make_renderer(build("make_gymnasium"), 64, 64)
