"""The boxes to manipulate: 947 shapes in the original's order, one per environment."""

from __future__ import annotations

from itertools import product
from typing import Callable, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

BASE_SIZE_M = 0.05
"""Edge of the box of scale (1, 1, 1), m (IsaacGymEnvs `objectBaseSize`)."""
DENSITY = 400.0
"""Density of the boxes, kg/m^3 (IsaacGymEnvs object asset)."""


def _is_thin(edges: Sequence[int]) -> bool:
    return 3 * edges[0] <= edges[1]


def _is_plump(edges: Sequence[int]) -> bool:
    return edges[2] <= 3 * edges[1]


class _ObjectSet(NamedTuple):
    """Boxes whose edges are percentages of the base size; the order of `edges` matters."""

    edges: Tuple[int, ...]
    volume: Tuple[float, float]
    drop: Callable[[Sequence[int]], bool]


SETS: Dict[str, _ObjectSet] = {
    "small_cuboids": _ObjectSet(
        (100, 50, 66, 75, 90, 110, 125, 150, 175, 200, 250, 300), (1.0, 2.5), lambda edges: False
    ),
    "big_cuboids": _ObjectSet((100, 125, 150, 200, 250, 300, 350), (2.5, 15.0), _is_thin),
    "sticks": _ObjectSet(
        (100, 50, 75, 200, 300, 400, 500, 600),
        (2.5, 6.0),
        lambda edges: _is_thin(edges) or _is_plump(edges),
    ),
}
"""Edges in percent, volume range in base cubes (inclusive), and the shapes left out, given
their sorted edges: 654, 248 and 45 boxes."""


def object_scales(sets: Sequence[str], randomize_dimensions: bool = True) -> Tensor:
    """Return the scales [M, 3] of the boxes in `sets`, in the order of environments 0, 1, 2, ...

    The base cube is always among them. One is 5 cm.

    Source: IsaacGymEnvs `allegro_kuka_base.py`, `allegro_kuka/generate_cuboids.py`: files named
    `<index in its set>_cube_<x>_<y>_<z>`, sorted by name and shuffled under seed 42.
    """
    if not randomize_dimensions:
        return torch.ones(1, 3)
    files: Dict[str, Tuple[int, ...]] = {"000_cube_100_100_100": (100, 100, 100)}
    for name in sets:
        for index, edges in enumerate(_boxes(SETS[name])):
            files["{:03d}_cube_{}_{}_{}".format(index, *edges)] = edges
    names = sorted(files)
    np.random.default_rng(42).shuffle(names)
    return torch.tensor([files[name] for name in names]) / 100.0


def _boxes(spec: _ObjectSet) -> List[Tuple[int, ...]]:
    low, high = (volume * 100**3 for volume in spec.volume)
    return [
        edges
        for edges in product(spec.edges, repeat=3)
        if low <= edges[0] * edges[1] * edges[2] <= high and not spec.drop(sorted(edges))
    ]


def deal(scales: Tensor, num_envs: int, num_agents: int, same_per_block: bool) -> Tensor:
    """Deal shapes to environments in turn.

    Args:
        scales: [M, 3] shapes.
        num_envs: N, environments.
        num_agents: K, agents; env i belongs to agent i // (N / K).
        same_per_block: start over at each agent's block, so that all blocks see the same shapes.

    Returns:
        [N, 3] scale of each environment's box.
    """
    env = torch.arange(num_envs)
    if same_per_block:
        env = env % (num_envs // num_agents)
    return scales[env % len(scales)]


def half_size(scale: Tensor) -> Tensor:
    """Return the half edges [N, 3] of boxes of `scale` [N, 3], m."""
    return scale * (BASE_SIZE_M / 2)


def mass(half_size: Tensor, density: float = DENSITY) -> Tensor:
    """Return the masses [N], kg, of boxes of half edges `half_size` [N, 3], m."""
    return 8.0 * density * half_size.prod(-1)
