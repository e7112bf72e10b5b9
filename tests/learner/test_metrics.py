"""Means over minibatches."""

from __future__ import annotations

import torch

from epo.learner.metrics import MetricMeans


def test_mean_is_over_all_samples_of_all_minibatches():
    means = MetricMeans()
    means.add("x", torch.tensor([1.0, 2.0, 3.0]))
    means.add("x", torch.tensor([10.0]))
    assert means.read()["x"].item() == 4.0  # 16 / 4


def test_mask_counts_whole_sequences():
    means = MetricMeans()
    value = torch.tensor([[1.0, 100.0], [3.0, 100.0]])  # [T, S]
    means.add("x", value, torch.tensor([True, False]))
    means.add("nothing", value, torch.tensor([False, False]))
    assert {k: v.item() for k, v in means.read().items()} == {"x": 2.0, "nothing": 0.0}


def test_means_do_not_hold_the_graph():
    means = MetricMeans()
    means.add("x", torch.ones(2, requires_grad=True) * 2.0)
    assert not means.read()["x"].requires_grad
