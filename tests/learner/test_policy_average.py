"""The slow copy of a policy, and how far the policy is from it."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from epo.learner.metrics import MetricMeans
from epo.learner.policy_average import PolicyAverage, novelty
from tests.learner.small_run import genes_of, small_cfg, small_run


def shifted(average, delta):
    """Move every parameter of the model and then the average."""
    with torch.no_grad():
        for parameter in average.model.parameters():
            parameter.add_(delta)
    average.update()


def test_average_by_hand():
    run = small_run(small_cfg(mode="none"))
    bias = run.model.mean_head.bias  # starts at 0
    average = PolicyAverage(run.model, 0.5)
    found = []
    for _ in range(3):
        shifted(average, 1.0)
        found.append(average.parameters["mean_head.bias"][0].item())
    assert bias[0].item() == 3.0
    assert found == [0.5, 1.25, 2.125]  # (0 + 1) / 2, (0.5 + 2) / 2, (1.25 + 3) / 2


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_average_of_no_or_of_endless_memory(decay):
    run = small_run(small_cfg(mode="none"))
    before = {name: p.detach().clone() for name, p in run.model.named_parameters()}
    average = PolicyAverage(run.model, decay)
    shifted(average, 0.37)
    for name, parameter in run.model.named_parameters():
        expected = parameter if decay == 0.0 else before[name]
        assert torch.equal(average.parameters[name], expected), name


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_novelty_is_the_exact_divergence(kind):
    run = small_run(small_cfg(kind, "none"), num_agents=2)
    update = run.learner.begin(run.collector.collect(), None, MetricMeans())
    average = PolicyAverage(run.model, 1.0)
    sequences = update.sequences(torch.arange(8))
    output = run.model(*sequences)
    assert novelty(run.model, output, average(sequences), None).item() == pytest.approx(0, abs=1e-6)
    with torch.no_grad():
        for parameter in run.model.parameters():
            parameter.add_(0.1)
    output, slow = run.model(*sequences), average(sequences)
    policies = [
        Independent(Normal(o.mean, o.log_std.exp().expand_as(o.mean)), 1) for o in (output, slow)
    ]
    found = novelty(run.model, output, slow, None)
    torch.testing.assert_close(found, kl_divergence(*policies).mean())
    assert found > 0.01


def test_novelty_sees_outputs_not_weights():
    run = small_run(small_cfg(mode="none"))
    update = run.learner.begin(run.collector.collect(), None, MetricMeans())
    average = PolicyAverage(run.model, 1.0)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    first, second = run.model.mlp[0], run.model.mlp[1]
    with torch.no_grad():
        first.weight.copy_(first.weight[order])  # type: ignore[operator]
        first.bias.copy_(first.bias[order])  # type: ignore[operator]
        second.weight.copy_(second.weight[:, order])  # type: ignore[operator]
    sequences = update.sequences(torch.arange(8))
    found = novelty(run.model, run.model(*sequences), average(sequences), None)
    assert found.item() == pytest.approx(0.0, abs=1e-6)
    assert average.distance() > 0.1


def test_new_agents_begin_with_what_they_are():
    run = small_run(small_cfg(mode="none"), num_agents=4)
    average = PolicyAverage(run.model, 0.9)
    gene = genes_of(run.model)
    with torch.no_grad():
        gene.add_(1.0)
    average.reset_rows(gene, [1, 3])
    is_equal = (average.parameters["gene"] == gene).all(dim=1)
    assert is_equal.tolist() == [False, True, False, True]
