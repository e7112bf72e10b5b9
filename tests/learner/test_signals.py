"""Signals of health as arithmetic."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from epo.learner.losses import PPOTerms
from epo.learner.signals import (
    advantage_signals,
    block_std,
    effective_share,
    explained_variance,
    norm,
    penalty_share,
    quantile,
    sample_means,
    sample_sums,
    smallest,
    subsample,
)

RATIO = torch.tensor([1.0, 1.3, 0.7, 1.3, 0.7, 1.05])
ADVANTAGE = torch.tensor([1.0, 2.0, 1.0, -1.0, -2.0, 0.0])
"""Inside; killed good; wrong-sided good; wrong-sided bad; killed bad; inside without advantage."""


def terms(ratio=RATIO, advantage=ADVANTAGE, kl=0.02) -> PPOTerms:
    above, below = ratio > 1.2, ratio < 0.8
    nothing: Any = torch.zeros_like(ratio)
    return PPOTerms(
        log_ratio=ratio.log(), ratio=ratio, surrogate=nothing, value_loss=nothing, entropy=nothing,
        bounds=nothing, kl=nothing, kl_old=torch.full_like(ratio, kl), is_clipped=above | below,
        is_killed=(above & (advantage > 0)) | (below & (advantage < 0)),
    )  # fmt: skip


def means(*parts, mask=None):
    sums = [sample_sums(t, a, 0.2, 0.2, mask) for t, a in parts]
    return {name: v.item() for name, v in sample_means(torch.stack(sums).sum(0)).items()}


def test_samples_are_sorted_by_side_and_sign():
    found = means((terms(), ADVANTAGE))
    # 3 good ones (1, 1.3, 0.7), 2 bad ones (1.3, 0.7), 6 in all
    expected = {
        "kill": 2 / 6, "kill_pos": 1 / 3, "kill_neg": 1 / 2, "wrong_pos": 1 / 3,
        "wrong_neg": 1 / 2, "clip_frac": 4 / 6, "kl_exact": 0.02, "ratio_mean": 6.05 / 6,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    k3 = sum(r - 1 - math.log(r) for r in RATIO.tolist()) / 6
    assert found["kl_k3"] == pytest.approx(k3, abs=1e-6)
    assert found["ratio_std"] == pytest.approx(RATIO.std(correction=0).item(), abs=1e-6)
    # (0.6 - 0.3 - 0.3 + 0.6) / 6
    assert found["gain"] == pytest.approx(0.1, abs=1e-6)


def test_opposite_advantages_swap_the_signs():
    found, opposite = means((terms(), ADVANTAGE)), means((terms(advantage=-ADVANTAGE), -ADVANTAGE))
    for name in ("kill", "wrong"):
        assert opposite[f"{name}_pos"] == found[f"{'wrong' if name == 'kill' else 'kill'}_neg"]
        assert opposite[f"{name}_neg"] == found[f"{'wrong' if name == 'kill' else 'kill'}_pos"]
    mirrored = means((terms(2.0 - RATIO, -ADVANTAGE), -ADVANTAGE))
    assert (mirrored["kill_pos"], mirrored["kill_neg"]) == (found["kill_neg"], found["kill_pos"])


def test_sums_of_minibatches_add_up_and_masked_samples_do_not_count():
    parts = [(terms(RATIO[i : i + 3], ADVANTAGE[i : i + 3]), ADVANTAGE[i : i + 3]) for i in (0, 3)]
    assert means(*parts) == pytest.approx(means((terms(), ADVANTAGE)))
    mask = torch.tensor([True] * 5 + [False])
    ratio = torch.cat([RATIO[:5], torch.tensor([math.inf])])
    found = means((terms(ratio), ADVANTAGE), mask=mask)
    assert found == pytest.approx(means((terms(RATIO[:5], ADVANTAGE[:5]), ADVANTAGE[:5])))


def test_nothing_counted_is_no_number():
    found = means((terms(), ADVANTAGE), mask=torch.zeros(6, dtype=torch.bool))
    assert all(math.isnan(value) for value in found.values())


@pytest.mark.parametrize(
    ("weights", "share"),
    [
        ([2.0, 2.0, 2.0, 2.0], 1.0),
        ([0.0, 7.0, 0.0, 0.0], 0.25),
        ([1.0, 1.0, 3.0, 3.0], 0.8),
        ([1e-30, 1e-30, 3e-30, 3e-30], 0.8),  # whose squares underflow in float32
        ([0.0, 0.0, 0.0, 0.0], 0.0),
    ],
)
def test_effective_share_of_a_block(weights, share):
    weight = torch.tensor(weights).view(2, 2)  # [T, S]
    block = torch.zeros(2, dtype=torch.int64)
    assert effective_share(weight, block, 1).item() == pytest.approx(share)
    assert effective_share(1e3 * weight, block, 1).item() == pytest.approx(share)


def test_effective_share_tells_sources_apart():
    weight = torch.tensor([[1.0, 1.0, 4.0], [1.0, 3.0, 0.0]])
    found = effective_share(weight, torch.tensor([0, 3, 3]), 5)
    # block 3: weights 1, 4, 3, 0: 64 / (4 * 26)
    assert found[[0, 3]].tolist() == pytest.approx([1.0, 64 / 104])
    assert found[[1, 2, 4]].isnan().all()
    assert smallest(found).item() == pytest.approx(64 / 104)
    assert smallest(torch.tensor([math.nan])).isnan()


def test_explained_variance_of_perfect_useless_and_constant_cases():
    target = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    assert explained_variance(target, target).item() == 1.0
    mean = target.mean().expand_as(target)
    assert explained_variance(target, mean).item() == pytest.approx(0.0, abs=1e-6)
    assert explained_variance(target, -target).item() == pytest.approx(-3.0)
    assert explained_variance(torch.ones(3, 3), torch.zeros(3, 3)).isnan()
    mask = torch.ones(5, 7, dtype=torch.bool)
    mask[2] = False
    value = target + ~mask  # wrong where nothing counts
    assert explained_variance(target, value, mask).item() == 1.0


def test_advantages_by_hand():
    advantage = torch.tensor([[3.0, -1.0], [-1.0, -1.0], [50.0, 50.0]])
    mask = torch.tensor([[True, True], [True, True], [False, False]])
    found = {name: v.item() for name, v in advantage_signals(advantage, mask).items()}
    assert found == pytest.approx(
        {
            "advantage_mean": 0.0,
            "advantage_std": math.sqrt(3.0),
            "advantage_positive": 0.25,
            "advantage_peak": 3.0 / math.sqrt(3.0),
        }
    )
    assert block_std(advantage[:2], 2).tolist() == pytest.approx([2.0, 0.0])
    assert block_std(advantage, 2, mask).tolist() == pytest.approx([2.0, 0.0])


def test_share_of_the_penalty():
    kl, coef = torch.tensor(0.01), torch.tensor(4.0)
    assert penalty_share(kl, coef, torch.tensor(-0.12)).item() == pytest.approx(0.25)
    assert penalty_share(kl, 0.0 * coef, torch.tensor(0.0)).item() == 0.0


def test_subsample_is_even_and_small_enough():
    value = torch.arange(10.0).view(2, 5)
    assert subsample(value, 20).tolist() == list(range(10))
    assert subsample(value, 4).tolist() == [0.0, 3.0, 6.0, 9.0]


def test_quantile_leaves_out_what_is_no_number():
    value = torch.cat([torch.arange(101.0).flip(0), torch.full((50,), math.nan)])
    assert [quantile(value, level).item() for level in (0.0, 0.01, 0.99, 1.0)] == [0, 1, 99, 100]
    assert quantile(torch.full((3,), math.nan), 0.5).isnan()


def test_norm_is_that_of_all_tensors_together():
    assert norm([torch.tensor([3.0]), torch.tensor([[0.0, 4.0]])]).item() == 5.0
