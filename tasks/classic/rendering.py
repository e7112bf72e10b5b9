"""Pictures of classic tasks, drawn without a display."""

from __future__ import annotations

from typing import TYPE_CHECKING, List, Tuple

import numpy as np
from PIL import Image, ImageDraw

from tasks.classic.shapes import Area, Color, Disc, Line, Picture, Point

if TYPE_CHECKING:
    from tasks.classic.env import ClassicEnv

BACKGROUND: Color = (240, 242, 244)
OVERSAMPLING = 3
"""Drawn so many times larger and then averaged: Pillow's edges are not smooth."""
BORDER = 0.03
"""Share of the frame that stays free on every side."""


class ClassicRenderer:
    """Draws environments of a classic task.

    Args:
        env: what is drawn.
        width: of the picture, pixels.
        height: of the picture, pixels.
    """

    def __init__(self, env: ClassicEnv, width: int, height: int) -> None:
        self._env, self._size = env, (width, height)

    def draw(self, index: int) -> np.ndarray:
        """Draw environment `index` as it is now: [height, width, 3] uint8."""
        state = self._env.state[:, index].tolist()
        return draw(self._env.task.picture(state), *self._size)

    def close(self) -> None:
        """Do nothing: nothing is held."""


def draw(picture: Picture, width: int, height: int) -> np.ndarray:
    """Draw a picture, all of it and in its own proportions: [height, width, 3] uint8."""
    size = (width * OVERSAMPLING, height * OVERSAMPLING)
    image = Image.new("RGB", size, BACKGROUND)
    canvas = Canvas(image, picture)
    for shape in picture.shapes:
        canvas.add(shape)
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


class Canvas:
    """An image with metres on it.

    Args:
        image: what is drawn on.
        picture: whose corners must be inside.
    """

    def __init__(self, image: Image.Image, picture: Picture) -> None:
        self._draw = ImageDraw.Draw(image)
        low, high = picture.low, picture.high
        extents = zip(image.size, low, high)
        self._scale = min((1.0 - 2.0 * BORDER) * px / (b - a) for px, a, b in extents)
        self._middle = (0.5 * (low[0] + high[0]), 0.5 * (low[1] + high[1]))
        self._center = (0.5 * image.size[0], 0.5 * image.size[1])

    def add(self, shape: Line | Disc | Area) -> None:
        """Draw one shape over what is there."""
        if isinstance(shape, Disc):
            self._disc(shape.center, shape.radius_m, shape.color)
        elif isinstance(shape, Area):
            self._draw.polygon([self._pixel(p) for p in shape.points], shape.color)
        else:
            points: List[Tuple[float, float]] = [self._pixel(p) for p in shape.points]
            width = max(1, round(shape.width_m * self._scale))
            self._draw.line(points, shape.color, width)
            for point in shape.points:
                self._disc(point, 0.5 * shape.width_m, shape.color)

    def _disc(self, center: Point, radius_m: float, color: Color) -> None:
        x, y = self._pixel(center)
        radius = radius_m * self._scale
        self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), color)

    def _pixel(self, point: Point) -> Tuple[float, float]:
        x = self._center[0] + self._scale * (point[0] - self._middle[0])
        y = self._center[1] - self._scale * (point[1] - self._middle[1])
        return x, y
