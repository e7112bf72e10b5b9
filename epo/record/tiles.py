"""Several pictures with captions as one."""

from __future__ import annotations

import math
from typing import List, Sequence, Tuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

TEXT_SHARE = 0.04
"""Height of a line of text as a share of its tile's height."""
TEXT_PX = (11, 20)
"""Least and largest height of a line of text, pixels."""
ASPECT = 4 / 3
"""Width over height of a tile that shows most scenes well."""
INK, PAPER = (20, 24, 28, 255), (255, 255, 255, 175)
BACKGROUND = (32, 34, 37)
BORDER_PX = 2
"""Least border around a picture that had to be scaled."""


class Grid:
    """Tiles in rows and columns that share a picture of fixed size.

    Args:
        num_tiles: how many pictures are shown.
        width: of the whole picture, pixels.
        height: of the whole picture, pixels.

    Attributes:
        tile_size: width and height of one tile, pixels.
    """

    def __init__(self, num_tiles: int, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.columns = max(range(1, num_tiles + 1), key=lambda n: self._merit(num_tiles, n))
        self.tile_size: Tuple[int, int] = self._tile_size(num_tiles, self.columns)
        text_px = min(max(round(TEXT_SHARE * self.tile_size[1]), TEXT_PX[0]), TEXT_PX[1])
        self._font = ImageFont.load_default(text_px)
        self._line_px = round(1.3 * text_px)

    def compose(self, tiles: Sequence[np.ndarray], captions: Sequence[Sequence[str]]) -> np.ndarray:
        """Put tiles together, row by row.

        Args:
            tiles: pictures [height, width, 3] uint8; those that are not of `tile_size` are
                scaled, keep their shape and get a border.
            captions: lines of text for each tile, may be empty.

        Returns:
            The whole picture, [height, width, 3] uint8.
        """
        picture = Image.new("RGB", (self.width, self.height), BACKGROUND)
        for i, (tile, lines) in enumerate(zip(tiles, captions)):
            image = self._fit(Image.fromarray(tile))
            self._write(image, [line for line in lines if line])
            row, column = divmod(i, self.columns)
            picture.paste(image, (column * self.tile_size[0], row * self.tile_size[1]))
        return np.asarray(picture)

    def _fit(self, image: Image.Image) -> Image.Image:
        """Bring a picture of another size into a tile, all of it."""
        if image.size == self.tile_size:
            return image
        width, height = self.tile_size
        inner = ImageOps.pad(
            image, (width - 2 * BORDER_PX, height - 2 * BORDER_PX), color=BACKGROUND
        )
        return ImageOps.expand(inner, BORDER_PX, BACKGROUND)

    def _tile_size(self, num_tiles: int, columns: int) -> Tuple[int, int]:
        return self.width // columns, self.height // math.ceil(num_tiles / columns)

    def _merit(self, num_tiles: int, columns: int) -> Tuple[float, int]:
        """Rate a number of columns: large tiles of about `ASPECT`, then few gaps."""
        width, height = self._tile_size(num_tiles, columns)
        return min(width / ASPECT, height), -(-num_tiles % columns)

    def _write(self, image: Image.Image, lines: List[str]) -> None:
        """Write lines into the lower left corner, on paper that lets the picture through."""
        if not lines:
            return
        draw = ImageDraw.Draw(image, "RGBA")
        margin = self._line_px // 3
        text_width = max(draw.textlength(line, self._font) for line in lines)
        top = image.height - len(lines) * self._line_px - margin
        draw.rectangle((0, top, text_width + 2 * margin, image.height), fill=PAPER)
        for i, line in enumerate(lines):
            draw.text((margin, top + margin // 2 + i * self._line_px), line, INK, self._font)
