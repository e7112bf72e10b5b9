from __future__ import annotations

import math

import pytest
import torch

from epo.learner.pql.losses import binary_cross_entropy, cross_entropy, squared_error


def logits_of(*mass: float) -> torch.Tensor:
    return torch.tensor(mass).log()


def test_squared_error_adds_up_over_critics():
    value = torch.tensor([[1.0, 0.0], [3.0, 2.0]])
    # (1 - 2)^2 + (3 - 2)^2; 0 + 2^2
    assert squared_error(value, torch.tensor([2.0, 0.0])).tolist() == [2.0, 4.0]


def test_cross_entropy_adds_up_over_critics():
    logits = torch.stack([logits_of(0.5, 0.5), logits_of(0.25, 0.75)]).unsqueeze(1)  # [2, 1, 2]
    loss = cross_entropy(logits + 3.0, torch.tensor([[1.0, 0.0]]))  # logits may be shifted
    assert float(loss) == pytest.approx(-math.log(0.5) - math.log(0.25))


def test_binary_cross_entropy_averages_over_atoms():
    logits = torch.stack([logits_of(0.5, 0.5), logits_of(0.25, 0.75)]).unsqueeze(1)
    loss = binary_cross_entropy(logits, torch.tensor([[1.0, 0.0]]))
    # Critic 1: both atoms -log 0.5; critic 2: -log 0.25 and -log(1 - 0.75).
    assert float(loss) == pytest.approx(-math.log(0.5) - math.log(0.25))


def test_losses_are_per_sample():
    logits = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0))
    target = logits[0].softmax(-1)
    for loss in (cross_entropy, binary_cross_entropy):
        whole = loss(logits, target)
        assert whole.shape == (7,)
        torch.testing.assert_close(loss(logits[:, 3:4], target[3:4])[0], whole[3])


def test_cross_entropy_is_least_at_the_target():
    target = torch.tensor([[0.2, 0.3, 0.5]])
    logits = target.log().expand(2, 1, 3).clone().requires_grad_()
    (gradient,) = torch.autograd.grad(cross_entropy(logits, target).sum(), logits)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-6, rtol=0.0)
