from __future__ import annotations

import pytest
import torch

from tasks.allegro_kuka.objects import SETS, deal, half_size, mass, object_scales
from tests.golden import golden

ALL = list(SETS)


@pytest.mark.parametrize(("key", "sets"), [("all_sets", ALL), ("throw", ["small_cuboids"])])
def test_scales_equal_original_order(key: str, sets) -> None:
    expected = torch.from_numpy(golden("allegro_kuka_objects.npz")[key])
    torch.testing.assert_close(object_scales(sets), expected, rtol=0, atol=0)


def test_scales_count_every_set() -> None:
    assert [len(object_scales([name])) for name in ALL] == [654, 248 + 1, 45 + 1]  # + base cube
    assert len(object_scales(ALL)) == 947
    assert len({tuple(row) for row in object_scales(ALL).tolist()}) == 938


def test_scales_are_the_base_cube_without_randomisation() -> None:
    assert object_scales(ALL, randomize_dimensions=False).tolist() == [[1.0, 1.0, 1.0]]


def test_mass_of_the_base_cube_is_50_grams() -> None:
    # 400 kg/m^3 x (0.05 m)^3 = 0.05 kg; the first object, scale 4 x .75 x 1, has 3 of it.
    scale = torch.tensor([[1.0, 1.0, 1.0], [4.0, 0.75, 1.0]])
    torch.testing.assert_close(mass(half_size(scale), 400.0), torch.tensor([0.05, 0.15]))
    torch.testing.assert_close(half_size(scale)[1], torch.tensor([0.1, 0.01875, 0.025]))


def test_deal_goes_round_over_all_environments() -> None:
    scales = torch.arange(9.0).view(3, 3)
    assert deal(scales, 4, 2, same_per_block=False)[:, 0].tolist() == [0, 3, 6, 0]


def test_deal_begins_anew_at_each_block() -> None:
    scales = torch.arange(9.0).view(3, 3)
    assert deal(scales, 4, 2, same_per_block=True)[:, 0].tolist() == [0, 3, 0, 3]
