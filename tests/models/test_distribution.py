"""The diagonal Gaussian against hand-computed numbers and torch.distributions."""

from __future__ import annotations

import pytest
import torch
from torch import distributions

from epo.models.distribution import (
    Categorical,
    DiagonalGaussian,
    entropy,
    kl_divergence,
    log_prob,
    make_distribution,
)


def _random(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_log_prob_and_entropy_by_hand():
    log_std = torch.tensor([1.0, 2.0], dtype=torch.float64).log()
    action = torch.tensor([1.0, 4.0], dtype=torch.float64)
    # 1/2 log(2 pi) = 0.9189385. First: 1/2 1^2 + 0 + 0.9189385 = 1.4189385.
    # Second: 1/2 (4 / 2)^2 + log 2 + 0.9189385 = 2 + 0.6931472 + 0.9189385 = 3.6120857.
    assert log_prob(action, torch.zeros(2), log_std).item() == pytest.approx(-5.0310242, abs=1e-7)
    # (1/2 + 0.9189385) + (1/2 + 0.9189385 + log 2) = 3.5310242
    assert entropy(log_std).item() == pytest.approx(3.5310242, abs=1e-7)


def test_log_prob_and_entropy_equal_torch_distributions():
    mean, log_std, action = _random(5, 3), 0.5 * _random(5, 3) - 0.3, 2.0 * _random(5, 3)
    reference = distributions.Independent(distributions.Normal(mean, log_std.exp()), 1)
    torch.testing.assert_close(log_prob(action, mean, log_std), reference.log_prob(action))
    torch.testing.assert_close(entropy(log_std), reference.entropy())


def test_kl_is_of_the_new_policy_against_the_old_one():
    mean, old_mean = torch.tensor([0.0]), torch.tensor([3.0])
    log_std, old_log_std = torch.tensor([1.0]).log(), torch.tensor([2.0]).log()
    # log(2 / 1) + (1 + 9) / (2 * 4) - 1/2 = 0.6931472 + 1.25 - 0.5 = 1.4431472;
    # the other direction gives -0.6931472 + (4 + 9) / 2 - 1/2 = 5.3068528. Guards: below 1e-5.
    found = kl_divergence(mean, log_std, old_mean, old_log_std).item()
    assert found == pytest.approx(1.4431472, abs=1e-5)


@pytest.mark.parametrize("std", [0.5, 1.0, 2.0])
def test_kl_of_equal_policies_is_only_its_guards(std):
    mean = _random(4, 3)
    log_std = torch.full_like(mean, std).log()
    # log(1 + g) + s^2 / (2 (s^2 + g)) - 1/2 = g - g / (2 s^2) + O(g^2 / s^4), g = 1e-5; A = 3
    expected = torch.full((4,), 3.0 * (1e-5 - 0.5e-5 / std**2), dtype=torch.float64)
    found = kl_divergence(mean, log_std, mean, log_std)
    torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-8)


def test_exact_gaussian_kl_equals_torch_distributions():
    first, other = (_random(5, 3), 0.4 * _random(5, 3)), (_random(5, 3) + 1.0, _random(5, 3) - 0.5)
    expected = distributions.kl_divergence(
        *(distributions.Independent(distributions.Normal(m, s.exp()), 1) for m, s in (first, other))
    )
    torch.testing.assert_close(DiagonalGaussian().exact_kl(*first, *other), expected)


def test_categorical_equals_torch_distributions():
    logits, others, none = _random(6, 4), _random(6, 4).flip(0), torch.zeros(6, 0)
    action = torch.tensor([0.0, 1.0, 2.0, 3.0, 0.0, 1.0]).unsqueeze(-1)
    reference, other = (distributions.Categorical(logits=x) for x in (logits, others))
    ours = Categorical()
    torch.testing.assert_close(
        ours.log_prob(action, logits, none), reference.log_prob(action.squeeze(-1))
    )
    torch.testing.assert_close(ours.entropy(logits, none), reference.entropy())
    expected = distributions.kl_divergence(reference, other)
    torch.testing.assert_close(ours.kl(logits, none, others, none), expected)


def test_categorical_samples_have_their_probabilities():
    logits = torch.tensor([0.1, 0.2, 0.7]).log().expand(40_000, 3)
    ours, generator = Categorical(), torch.Generator().manual_seed(0)
    action = ours.sample(logits, torch.zeros(0), ours.noise(logits, generator))
    assert action.shape == (40_000, 1)
    share = torch.bincount(action.squeeze(-1).long(), minlength=3) / 40_000
    # Standard error of a share below 0.0025.
    torch.testing.assert_close(share, torch.tensor([0.1, 0.2, 0.7]), rtol=0.0, atol=0.01)


def test_several_choices_equal_independent_torch_distributions():
    sizes, none = (2, 4, 3), torch.zeros(6, 0)
    logits, others = _random(6, 9), _random(6, 9).flip(0)
    action = torch.stack([torch.arange(6) % n for n in sizes], -1).double()
    first, other = (
        [distributions.Categorical(logits=part) for part in x.split(sizes, -1)]
        for x in (logits, others)
    )
    ours = make_distribution(sizes)
    assert (ours.action_width(9), ours.log_std_width(9)) == (3, 0)
    expected = sum(d.log_prob(a) for d, a in zip(first, action.unbind(-1)))
    torch.testing.assert_close(ours.log_prob(action, logits, none), expected)
    torch.testing.assert_close(ours.entropy(logits, none), sum(d.entropy() for d in first))
    expected = sum(distributions.kl_divergence(p, q) for p, q in zip(first, other))
    torch.testing.assert_close(ours.kl(logits, none, others, none), expected)
    torch.testing.assert_close(ours.exact_kl(logits, none, others, none), expected)
    assert ours.mode(logits).tolist() == [
        [float(part.argmax()) for part in row.split(sizes)] for row in logits
    ]
    assert not ours.bounds(logits, 1.0).any()
    encoded = ours.encode(torch.tensor([[1.0, 3.0, 0.0]]), 9)
    assert encoded.tolist() == [[0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]]


def test_samples_of_several_choices_have_their_probabilities_and_are_independent():
    logits = torch.tensor([0.1, 0.2, 0.7, 0.4, 0.6]).log().expand(40_000, 5)
    ours, generator = make_distribution((3, 2)), torch.Generator().manual_seed(0)
    action = ours.sample(logits, torch.zeros(0), ours.noise(logits, generator)).long()
    share = torch.bincount(action[:, 0] * 2 + action[:, 1], minlength=6) / 40_000
    expected = torch.tensor([0.04, 0.06, 0.08, 0.12, 0.28, 0.42])  # products
    # Standard error of a share below 0.0025.
    torch.testing.assert_close(share, expected, rtol=0.0, atol=0.01)


def test_family_follows_the_choices():
    assert isinstance(make_distribution(()), DiagonalGaussian)
    assert isinstance(make_distribution((5,)), Categorical)


def test_categorical_mode_is_the_largest_logit():
    assert Categorical().mode(torch.tensor([[0.0, 2.0, 1.0]])).tolist() == [[1.0]]
