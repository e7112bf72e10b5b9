"""Minibatches of whole sequences, and their standardised advantages."""

from __future__ import annotations

import pytest
import torch

from epo.config import PPOCfg
from epo.learner.advantage import gae_estimate
from epo.learner.batch import minibatch_spans, on_policy_batch
from epo.ranks import ALONE
from tests.learner.small_run import small_cfg, small_run


@pytest.mark.parametrize(
    ("num", "settings", "expected"),
    [
        (12, {"num_minibatches": 4}, [(0, 3), (3, 6), (6, 9), (9, 12)]),
        (11, {"num_minibatches": 4}, [(0, 2), (2, 4), (4, 6), (6, 11)]),
        (3, {"num_minibatches": 1}, [(0, 3)]),
        (15, {"minibatch_size": 24}, [(0, 6), (6, 15)]),  # 24 / 4 = 6 sequences
        (12, {"minibatch_size": 24}, [(0, 6), (6, 12)]),
    ],
)
def test_spans_cover_every_sequence_once_and_the_last_takes_the_rest(num, settings, expected):
    assert minibatch_spans(num, 4, PPOCfg(**settings)) == expected


@pytest.mark.parametrize("settings", [{"num_minibatches": 4}, {"minibatch_size": 16}])
def test_fewer_sequences_than_one_minibatch_are_an_error(settings):
    with pytest.raises(ValueError, match="3 sequences of 4 steps"):
        minibatch_spans(3, 4, PPOCfg(**settings))


def test_advantage_is_standardised_over_the_whole_set_with_the_unbiased_deviation():
    # mean 2; squares 1 + 1 + 9 + 9 = 20, unbiased variance 20 / 3, deviation 2.5820
    advantage = torch.tensor([[1.0, 3.0], [5.0, -1.0]])
    expected = torch.tensor([[-0.3873, 0.3873], [1.1619, -1.1619]])
    torch.testing.assert_close(ALONE.standardize(advantage), expected, rtol=0.0, atol=1e-4)


def test_on_policy_batch_leaves_the_rollout_alone():
    rollout = small_run(small_cfg(), num_agents=2).collector.collect()
    batch = on_policy_batch(rollout, gae_estimate(rollout, PPOCfg()))
    behaviour = rollout.mean.clone()
    batch.recent_mean.zero_()
    batch.recent_log_std.zero_()
    assert torch.equal(rollout.mean, behaviour)
    assert rollout.log_std.all()
    assert torch.equal(batch.env_ids, torch.arange(8))
    assert not batch.is_off_policy.any()
    assert (batch.weight == 1.0).all()


def test_standardize_ignores_what_is_not_valid():
    advantage = torch.tensor([[1.0, 100.0, 3.0, 5.0]], dtype=torch.float64)
    is_valid = torch.tensor([[True, False, True, True]])
    expected = ALONE.standardize(torch.tensor([[1.0, 3.0, 5.0]], dtype=torch.float64))
    torch.testing.assert_close(ALONE.standardize(advantage, is_valid)[is_valid], expected[0])


def test_standardize_of_all_valid_is_the_plain_one():
    advantage = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = ALONE.standardize(advantage, torch.ones(5, 7, dtype=torch.bool))
    torch.testing.assert_close(found, ALONE.standardize(advantage))
