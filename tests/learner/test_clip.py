"""Clip ranges without memory: constant, none, falling; and the rollout that schedules go by."""

from __future__ import annotations

import math

import pytest
import torch

from epo.config import ClipCfg, PPOCfg
from epo.learner.clip import Scheduled, Standing, Unclipped
from epo.learner.losses import clipped_surrogate
from epo.learner.metrics import MetricMeans
from epo.population.fitness import EpisodeReturns
from tests.learner.small_run import small_cfg, small_run


def standing(frames=0):
    return Standing(frames, torch.tensor(1.0), torch.tensor(math.nan))


@pytest.mark.parametrize(
    ("frames", "expected"), [(0, 0.2), (500, 0.11), (1000, 0.02), (5000, 0.02)]
)
def test_range_falls_linearly_and_stays(frames, expected):
    # 0.2 (1 - 0.9 frames / 1000)
    schedule = Scheduled(ClipCfg(decay_frames=1000, decay_to=0.1), PPOCfg(clip_eps=0.2))
    assert schedule.begin_update(standing(frames)) == pytest.approx((expected, expected))


def test_constant_range_is_read_anew_in_every_update():
    ppo = PPOCfg(clip_eps=0.2)
    schedule = Scheduled(ClipCfg(), ppo)
    assert schedule.begin_update(standing(10**9)) == (0.2, 0.2)
    ppo.clip_eps = 0.05
    assert schedule.begin_update(standing()) == (0.05, 0.05)


def test_no_range_leaves_the_surrogate_as_it_is():
    ratio = torch.tensor([0.0, 0.5, 1.0, 20.0], requires_grad=True)
    advantage = torch.tensor([1.0, -1.0, 2.0, 3.0])
    low, high = Unclipped().begin_update(standing())
    loss = clipped_surrogate(ratio, advantage, torch.ones(4), low, high)
    assert torch.equal(loss, -ratio * advantage)
    loss.sum().backward()
    assert torch.equal(ratio.grad, -advantage)  # type: ignore[arg-type]


def test_standing_is_the_leaders():
    run = small_run(small_cfg(mode="none"), num_agents=2)
    rollout = run.collector.collect()
    returns = EpisodeReturns(torch.tensor([8.0, 9.0]), torch.tensor([1.0, 2.0]))
    found = run.learner.begin(rollout, returns, MetricMeans()).standing
    assert found.frames == 0 and found.episode_return.item() == 4.5
    expected = run.model.distribution.entropy(rollout.mean[0, 0], rollout.log_std[1])
    torch.testing.assert_close(found.entropy, expected)
    run.learner.update(rollout, returns)
    nothing = EpisodeReturns(torch.zeros(2), torch.zeros(2))
    found = run.learner.begin(rollout, nothing, MetricMeans()).standing
    assert found.frames == 48 and found.episode_return.isnan()
