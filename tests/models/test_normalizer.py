"""Running statistics, number by number against the originals."""

from __future__ import annotations

import pytest
import torch

from epo.models.normalizer import RunningNormalizer
from tests.golden import golden
from tests.learner.golden_case import assert_close, tensor

EXACT = 1e-10  # float64, tolerance of the golden files


@pytest.mark.parametrize("kind", ["obs", "value"])
def test_statistics_equal_the_original(kind):
    arrays = golden("learner_normaliser.npz")
    normalizer = RunningNormalizer(arrays[f"{kind}/batch0/x"].shape[1])
    for i in range(int(arrays[f"{kind}/batches"])):
        batch = f"{kind}/batch{i}/"
        x = tensor(arrays[f"{batch}x"])
        normalizer.update(x)
        for name in ("mean", "var", "count"):
            assert_close(getattr(normalizer, name), arrays[batch + name], EXACT, batch + name)
        assert_close(normalizer(x), arrays[f"{batch}out_train"], EXACT, batch)
    normalised = normalizer(tensor(arrays[f"{kind}/eval_x"]))
    assert_close(normalised, arrays[f"{kind}/out_eval"], EXACT, kind)
    restored = normalizer.denormalize(tensor(arrays[f"{kind}/denorm_x"]))
    assert_close(restored, arrays[f"{kind}/out_denorm"], EXACT, kind)


def test_statistics_differ_from_upstream_by_the_batch_variance_only():
    # Ours adds n v to the sum of squares, upstream n v (n - 1) / n, v the unbiased variance:
    # after some batches the sums var * count differ by the sum of all v.
    arrays = golden("learner_normaliser.npz")
    normalizer = RunningNormalizer(arrays["obs/batch0/x"].shape[1])
    difference = torch.zeros(normalizer.mean.shape, dtype=torch.float64)
    for i in range(int(arrays["obs/batches"])):
        batch = f"upstream/obs/batch{i}/"
        x = tensor(arrays[f"{batch}x"])
        normalizer.update(x)
        difference += x.var(dim=0)
        upstream = normalizer.var - difference / normalizer.count
        assert_close(upstream, arrays[f"{batch}var"], EXACT, f"{batch}var")
        assert_close(normalizer.mean, arrays[f"{batch}mean"], EXACT, f"{batch}mean")


def test_statistics_by_hand():
    normalizer = RunningNormalizer(1)
    normalizer.update(torch.tensor([[1.0], [3.0]]))
    # from mean 0, variance 1, count 1; batch of 2 with mean 2, unbiased variance 2:
    # mean 2 * 2 / 3 = 4 / 3; sum of squares 1 * 1 + 2 * 2 + 2^2 * 1 * 2 / 3 = 23 / 3, over 3
    assert normalizer.mean.item() == pytest.approx(4 / 3)
    assert normalizer.var.item() == pytest.approx(23 / 9)
    normalizer.update(torch.tensor([[0.0], [0.0]]))
    # mean 4 / 3 - 4 / 3 * 2 / 5 = 0.8; 23 / 3 + 0 + (4 / 3)^2 * 3 * 2 / 5 = 9.8, over 5
    assert normalizer.mean.item() == pytest.approx(0.8)
    assert normalizer.var.item() == pytest.approx(1.96)


def test_update_takes_all_leading_dimensions_as_batch():
    x = torch.randn(4, 6, 3)
    whole, flat = RunningNormalizer(3), RunningNormalizer(3)
    whole.update(x)
    flat.update(x.reshape(24, 3))
    assert torch.equal(whole.var, flat.var)
    assert whole.count.item() == 25.0  # starts at 1


def test_float32_data_keep_their_precision_and_are_clamped():
    normalizer = RunningNormalizer(1, clip=5.0)
    y = normalizer(torch.tensor([[100.0], [-100.0], [1.0]]))
    assert y.dtype == torch.float32
    assert normalizer.var.dtype == torch.float64
    # 1 / sqrt(1 + 1e-5) = 0.999995
    torch.testing.assert_close(y, torch.tensor([[5.0], [-5.0], [0.999995]]), rtol=0.0, atol=1e-6)
    # denormalize clamps to +-5 as well: 5 sqrt(1 + 1e-5) = 5.000025
    assert normalizer.denormalize(torch.tensor([[7.0]])).item() == pytest.approx(5.000025, abs=1e-6)


def test_disabled_normalizer_is_the_identity():
    normalizer = RunningNormalizer(2, is_enabled=False)
    x = 50.0 * torch.randn(8, 2)
    normalizer.update(x)
    assert normalizer(x) is x
    assert normalizer.denormalize(x) is x
    assert normalizer.count.item() == 1.0


@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan"), 1e30])
def test_batch_that_is_not_finite_changes_nothing(bad: float):
    normalizer = RunningNormalizer(2)
    normalizer.update(torch.randn(8, 2, generator=torch.Generator().manual_seed(0)))
    before = {name: value.clone() for name, value in normalizer.state_dict().items()}
    batch = torch.ones(4, 2)
    batch[1, 1] = bad  # the square of 1e30 is no float32
    normalizer.update(batch)
    for name, value in normalizer.state_dict().items():
        assert torch.equal(value, before[name])
    normalizer.update(torch.ones(4, 2))
    assert normalizer.count == before["count"] + 4
