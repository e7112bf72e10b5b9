from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("PIL")

from epo.record.tiles import BACKGROUND, Grid


@pytest.mark.parametrize(
    ("num_tiles", "columns", "tile_size"),
    [
        (1, 1, (960, 540)),
        (2, 2, (480, 540)),
        (3, 2, (480, 270)),
        (4, 2, (480, 270)),
        (6, 3, (320, 270)),
        (8, 4, (240, 270)),
        (16, 4, (240, 135)),
    ],
)
def test_tiles_are_as_large_as_the_picture_allows(num_tiles: int, columns: int, tile_size: tuple):
    grid = Grid(num_tiles, 960, 540)
    assert (grid.columns, grid.tile_size) == (columns, tile_size)


def test_tiles_stand_row_by_row():
    grid = Grid(3, 201, 150)
    width, height = grid.tile_size
    assert (width, height) == (100, 75)
    tiles = [np.full((height, width, 3), 50 * (i + 1), dtype=np.uint8) for i in range(3)]
    picture = grid.compose(tiles, [[]] * 3)
    assert picture.shape == (150, 201, 3)
    assert (picture[:75, :100] == 50).all()
    assert (picture[:75, 100:200] == 100).all()
    assert (picture[75:, :100] == 150).all()
    assert (picture[75:, 100:] == BACKGROUND).all() and (picture[:, 200] == BACKGROUND).all()


def test_caption_covers_a_corner_and_leaves_the_tile_untouched():
    grid = Grid(1, 400, 300)
    tile = np.full((300, 400, 3), 90, dtype=np.uint8)
    picture = grid.compose([tile], [["agent 3", "", "successes 2"]])
    changed = (picture != 90).any(axis=-1)
    rows, columns = changed.nonzero()
    assert changed[-10:, :10].all()
    # Two lines of 14 pixels and their distance; an empty line takes no room.
    assert 250 < rows.min() < 270 and 50 < columns.max() < 120
    assert (tile == 90).all()
    # Dark text on light paper.
    assert picture[changed].min() < 60 and picture[changed].max() > 180


def test_picture_of_another_size_is_shown_whole_with_a_border():
    grid = Grid(1, 400, 300)
    tile = np.zeros((100, 50, 3), dtype=np.uint8)
    tile[:50] = 200
    picture = grid.compose([tile], [[]])
    lit = (picture == 200).all(axis=-1).nonzero()
    # 296 of 300 rows inside the border, the upper half of them, and half as many columns as rows.
    assert (lit[0].min(), lit[1].max() - lit[1].min() + 1) == (2, 148)
    assert lit[0].max() == pytest.approx(149, abs=4)  # the edge is smooth
    assert abs(lit[1].min() + lit[1].max() - 399) <= 1
    assert (picture[:2] == BACKGROUND).all() and (picture[:, :100] == BACKGROUND).all()
