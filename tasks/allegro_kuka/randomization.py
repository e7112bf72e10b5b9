"""Domain randomisation: what differs between worlds beyond the task itself."""

from __future__ import annotations

from torch import Tensor

from tasks.allegro_kuka import objects
from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.engines.simulator import Worlds


def draw_worlds(cfg: AllegroKukaCfg, half_size: Tensor, seed: int) -> Worlds:
    """Draw what differs between the worlds of a run.

    Args:
        cfg: the task.
        half_size: [N, 3] nominal half edges of the boxes, m.
        seed: of the draws.
    """
    return Worlds(half_size, objects.mass(half_size, cfg.objects.density))
