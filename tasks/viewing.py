"""A live view of tasks that draw themselves: their picture on a board."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

from epo.viewer.scene import Camera, Part, Shape, Vector
from tasks.rendering import Renderer

HEIGHT_M = 1.0
"""Of the board; its width follows from the picture."""
UPRIGHT = (1.0, 0.0, 0.0, 0.0)


class PictureScene:
    """Pictures of a renderer; see `epo.viewer.scene.Scene`.

    Args:
        renderer: of the environment.
    """

    controls: Sequence[str] = ()
    can_place = False
    camera = Camera((0.0, 0.0, 1.4), (0.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    spacing_m = 1.9

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    def parts(self, world: int) -> List[Part]:
        """Return the board with the picture of a world."""
        picture = self._renderer.draw(world)
        height, width = picture.shape[:2]
        shape = Shape("picture", (HEIGHT_M * width / height, HEIGHT_M))
        return [Part(shape, (0.0, 0.0, 0.0), UPRIGHT, picture)]

    def act(self, control: str, world: int) -> None:
        """Do nothing: there are no controls."""

    def handle(self, world: int) -> Vector:
        """Return the origin: nothing can be placed."""
        return 0.0, 0.0, 0.0

    def place(self, world: int, position: Vector) -> None:
        """Do nothing."""

    def terms(self, world: int) -> Dict[str, float]:
        """Return nothing: the reward has no terms."""
        return {}

    def close(self) -> None:
        """Free what is drawn with."""
        self._renderer.close()


def picture_scene(family: Any, env: Any, width: int = 640, height: int = 480) -> PictureScene:
    """Build the scene of any family that can draw its worlds."""
    return PictureScene(family.make_renderer(env, width, height))
