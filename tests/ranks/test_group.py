"""What several ranks compute together equals what one process computes from all of it."""

from __future__ import annotations

import math
import threading
from typing import Any, List

import pytest
import torch
from torch import nn

from epo.config import ConfigError
from epo.models.normalizer import RunningNormalizer
from epo.ranks import ALONE, Ranks
from epo.ranks.alone import RankError
from tests.ranks.threads import on_ranks

PARTS = (5.0 + 2.0 * torch.randn(7, 3), 5.0 - torch.randn(4, 3))
WHOLE = torch.cat(PARTS)
MASKS = (torch.rand(7, 3) < 0.5, torch.rand(4, 3) < 0.5)
VALID = torch.cat(MASKS)


def each(work: Any) -> List[Any]:
    """Call `work(ranks, part, mask)` on two ranks."""
    return on_ranks(2, lambda ranks: work(ranks, PARTS[ranks.rank], MASKS[ranks.rank]))


@pytest.mark.parametrize("is_masked", [False, True])
def test_means_and_standardised_values_are_those_of_all(is_masked: bool):
    valid = VALID if is_masked else None

    def work(ranks: Ranks, x: torch.Tensor, mask: torch.Tensor) -> Any:
        own = mask if is_masked else None
        return ranks.mean(x, own), ranks.standardize(x, own)

    found = each(work)
    for mean, _ in found:
        torch.testing.assert_close(mean, ALONE.mean(WHOLE, valid))
    standardised = torch.cat([rows for _, rows in found])
    expected = ALONE.standardize(WHOLE, valid)
    if valid is not None:
        standardised, expected = standardised[valid], expected[valid]
    torch.testing.assert_close(standardised, expected, rtol=1e-5, atol=1e-5)


def test_variance_maximum_and_average():
    def work(ranks: Ranks, x: torch.Tensor, _: torch.Tensor) -> Any:
        values = {"both": torch.tensor(1.0 + ranks.rank), "none": torch.tensor(math.nan)}
        values["one"] = torch.tensor(4.0 if ranks.rank else math.nan)
        return ranks.variance(x), ranks.max(x.max()), ranks.average(values)

    for variance, largest, average in each(work):
        torch.testing.assert_close(variance, WHOLE.var())
        assert largest == WHOLE.max()
        assert average["both"] == 1.5 and average["one"] == 4.0 and average["none"].isnan()


def test_a_rank_without_samples_changes_nothing():
    def work(ranks: Ranks) -> Any:
        x = WHOLE if ranks.rank == 0 else WHOLE[:0]
        return ranks.mean(x), ranks.moments(x), ranks.standardize(x)

    for mean, moments, _ in on_ranks(2, work):
        torch.testing.assert_close(mean, WHOLE.mean())
        torch.testing.assert_close(moments.var, WHOLE.double().var(0), rtol=1e-5, atol=1e-6)


def test_normaliser_has_the_pooled_moments_bit_equal_on_both_ranks():
    def work(ranks: Ranks, x: torch.Tensor, mask: torch.Tensor) -> RunningNormalizer:
        normalizer = RunningNormalizer(3)
        for _ in range(3):
            normalizer.update(x, ranks)
        return normalizer

    first, second = each(work)
    expected = RunningNormalizer(3)
    for _ in range(3):
        expected.update(WHOLE)
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(first.state_dict()[name], value, rtol=1e-5, atol=1e-6)
        assert torch.equal(first.state_dict()[name], second.state_dict()[name])


def test_gradients_of_a_mean_are_those_of_one_process():
    def loss(ranks: Ranks, weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return ranks.mean((x * weight).square()).square()  # not linear in the mean

    expected = nn.Parameter(torch.ones(3))
    loss(ALONE, expected, WHOLE).backward()

    def work(ranks: Ranks, x: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        weight, unused = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))
        loss(ranks, weight, x).backward()
        ranks.add_gradients([weight, unused])
        assert unused.grad is not None and not unused.grad.any()
        assert weight.grad is not None
        return weight.grad

    for gradient in each(work):
        torch.testing.assert_close(gradient, expected.grad)


def test_what_rank_0_reads_arrives_everywhere():
    content: Any = {"x": torch.arange(4), "names": ["a"], "n": 3, "none": None}
    found = on_ranks(
        2, lambda ranks: ranks.first(lambda: content if ranks.rank == 0 else {**content, "n": 4})
    )
    assert all(torch.equal(part["x"], content["x"]) and part["n"] == 3 for part in found)


def test_parts_are_gathered_on_rank_0_in_their_order():
    def work(ranks: Ranks) -> Any:
        return ranks.gather({"rank": ranks.rank, "x": torch.ones(ranks.rank)})

    found = on_ranks(3, work)
    assert [part["rank"] for part in found[0]] == [0, 1, 2] and found[1] == found[2] == []
    assert [len(part["x"]) for part in found[0]] == [0, 1, 2]


@pytest.mark.parametrize("where", [0, 1])
def test_a_refusal_on_one_rank_is_one_on_all(where: int):
    def build(ranks: Ranks) -> str:
        if ranks.rank == where:
            raise ConfigError("num_envs", 3, "use 4")
        return "built"

    def work(ranks: Ranks) -> str:
        with pytest.raises(ConfigError) as caught:
            ranks.together(lambda: build(ranks))
        return str(caught.value)

    found = on_ranks(2, work)
    assert found[0] == found[1] and "num_envs" in found[0] and "use 4" in found[0]


def test_a_signal_to_one_rank_is_one_to_all():
    assert on_ranks(3, lambda ranks: ranks.largest(15 if ranks.rank == 1 else 0)) == [15, 15, 15]


def test_a_rank_that_hangs_is_named_by_the_others():
    released = threading.Event()

    def work(ranks: Ranks) -> str:
        if ranks.rank == 1:
            assert released.wait(20.0)
            return ""
        with pytest.raises(RankError) as caught:
            ranks.sum(torch.ones(1))
        released.set()
        return str(caught.value)

    assert on_ranks(2, work, timeout_s=1.0)[0] == (
        "rank 1 of 2 does not answer within guard.rank_timeout_s=1"
    )
