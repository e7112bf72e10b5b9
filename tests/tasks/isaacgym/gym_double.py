"""A simulator that keeps Isaac Gym's rules about tensors, without physics."""

from __future__ import annotations

from typing import Any, Dict, List

import torch
from torch import Tensor

BASES = {
    1: torch.tensor([[0.0, 0.8, 0.0, 1.0, 0.0, 0.0, 0.0]]),
    2: torch.tensor(
        [[-1.1, 0.0, 0.0, 0.5**0.5, 0, 0, 0.5**0.5], [1.1, 0.0, 0.0, 0.5**0.5, 0, 0, -(0.5**0.5)]]
    ),
}
"""Poses of the bases, m, wxyz."""


class GymDouble:
    """The simulator: it knows only what it was told, and moves only in `simulate`."""

    def __init__(self) -> None:
        self.actors: List[Dict[str, Any]] = []
        self.dof = torch.zeros(0)
        self.root = torch.zeros(0)

    def create_box(self, sim: Any, x: float, y: float, z: float, options: Any) -> Dict[str, Any]:
        """Describe a box."""
        return {"size": (x, y, z), "options": options}

    def create_actor(
        self, env: int, asset: Any, pose: Any, name: str, group: int, filters: int, segment: int
    ) -> int:
        """Put an asset into an environment; the handle counts within the environment."""
        handle = sum(actor["env"] == env for actor in self.actors)
        actor = {"env": env, "asset": asset, "name": name, "group": group, "filter": filters}
        self.actors.append({**actor, "handle": handle, "xyz": (pose.p.x, pose.p.y, pose.p.z)})
        return handle

    def get_actor_index(self, env: int, handle: int, domain: int) -> int:
        """Return the row of an actor in the root states."""
        places = [(actor["env"], actor["handle"]) for actor in self.actors]
        return places.index((env, handle))

    def set_dof_state_tensor(self, sim: Any, tensor: Tensor) -> None:
        """Take over all joints."""
        self.dof.copy_(tensor)
