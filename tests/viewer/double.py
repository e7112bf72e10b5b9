"""A scene that is all data, for a viewer without a task."""

from __future__ import annotations

from typing import Dict, List, Sequence, Tuple

from epo.viewer.scene import Camera, Part, Shape, Vector

UPRIGHT = (1.0, 0.0, 0.0, 0.0)
KINDS = {
    "box": (0.1, 0.2, 0.3),
    "sphere": (0.2,),
    "ellipsoid": (0.1, 0.2, 0.3),
    "cylinder": (0.1, 0.4),
    "capsule": (0.1, 0.4),
}


class Solids:
    """One of every solid in a row; the first can be moved."""

    camera = Camera((0.0, -3.0, 1.0), (0.0, 0.0, 0.0))
    spacing_m = 2.0
    controls: Sequence[str] = ("push it",)
    can_place = True

    def __init__(self) -> None:
        self.done: List[Tuple[str, int]] = []
        self.position: Vector = (0.0, 0.0, 0.0)

    def parts(self, world: int) -> List[Part]:
        rest = [
            Part(Shape(kind, KINDS[kind]), (i, 1.0, 0.0), UPRIGHT) for i, kind in enumerate(KINDS)
        ]
        return [Part(Shape("box", KINDS["box"]), self.position, UPRIGHT), *rest]

    def act(self, control: str, world: int) -> None:
        self.done.append((control, world))

    def handle(self, world: int) -> Vector:
        return self.position

    def place(self, world: int, position: Vector) -> None:
        self.position = position

    def terms(self, world: int) -> Dict[str, float]:
        return {"first_term": 2.0, "second": -1.0}

    def close(self) -> None:
        self.done.append(("close", 0))
