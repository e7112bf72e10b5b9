"""Late first episodes: the observed clock is the shifted one, and no curriculum counts them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from epo.envs import ClockedEnv, Step
from tasks.allegro_kuka.blocks import blocks
from tests.tasks.allegro_kuka.doubles import still_env, task_cfg

NAME = "AllegroKukaRegrasping"
CLOCKS = [0, 1, 7, 8]


def late_env(*overrides: str):
    env = still_env(task_cfg(NAME, "episode_length=10", *overrides), len(CLOCKS))
    assert isinstance(env, ClockedEnv) and env.time_limit == 9
    env.start_late(torch.tensor(CLOCKS))
    return env


def act(env) -> Step:
    return env.step(torch.zeros(env.spec.num_envs, env.spec.action_dim))


def partial_of(step: Step) -> Tensor:
    """Return which episodes of a step are partial."""
    assert step.is_partial is not None
    return step.is_partial


def test_observation_shows_the_late_clock():
    env = late_env()
    column = blocks("regrasping", 1, False)["progress"]
    shown = env.reset()[:, column].squeeze(-1)
    expected = [math.log(clock / 10 + 1) for clock in CLOCKS]
    assert shown.tolist() == pytest.approx(expected, abs=1e-6)
    assert env.reset()[:, column].any() == False  # noqa: E712 (late once)


def test_first_episodes_end_early_and_are_partial():
    env = late_env()
    env.reset()
    steps = [act(env) for _ in range(10)]
    ends = [[t for t, s in enumerate(steps, 1) if s.truncated[i]] for i in range(4)]
    assert ends == [[9], [8], [2], [1, 10]]
    partial = torch.stack([partial_of(step) for step in steps])
    assert partial.sum(0).tolist() == [0, 8, 2, 1]


def test_curriculum_does_not_count_partial_episodes():
    env = late_env("max_successes=50")
    env.reset()
    env.episode = replace(env.episode, successes=torch.tensor([5.0, 5.0, 5.0, 5.0]))
    for _ in range(9):
        act(env)
    # All first episodes are over; only that of environment 0 was whole.
    assert env.episode.previous_successes.tolist() == [5.0, 0.0, 0.0, 0.0]
    env.episode = replace(env.episode, successes=torch.full((4,), 3.0))
    for _ in range(9):
        act(env)
    assert env.episode.previous_successes.tolist() == [3.0] * 4


def test_resume_keeps_the_clocks():
    env = late_env()
    env.reset()
    act(env)
    copy = still_env(env.cfg, len(CLOCKS), seed=5)
    copy.load_state_dict(env.state_dict())
    for _ in range(9):
        ours, theirs = act(env), act(copy)
        assert torch.equal(ours.truncated, theirs.truncated)
        assert torch.equal(partial_of(ours), partial_of(theirs))


def test_spread_is_that_of_the_clocks():
    env = late_env()
    env.reset()
    found = float(act(env).scalars["clock_spread"])
    expected = (torch.tensor(CLOCKS) + 1.0) / 9
    assert found == pytest.approx(float(expected.std(correction=0)), abs=1e-6)
