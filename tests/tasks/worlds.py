"""Simulators for the tests of the physics."""

from __future__ import annotations

from typing import Optional

from torch import Tensor

from tasks.allegro_kuka.objects import mass
from tasks.allegro_kuka.physics import PhysicsCfg
from tasks.allegro_kuka.scene import build_scene
from tasks.engines.mujoco import MujocoSimulator
from tasks.engines.simulator import Worlds


def worlds(
    half_size: Tensor,
    num_arms: int = 1,
    physics: Optional[PhysicsCfg] = None,
    friction: Optional[Tensor] = None,
    num_threads: int = 2,
) -> MujocoSimulator:
    """Make one world per row of `half_size` [N, 3] m, robots at home, boxes above the table."""
    physics = physics or PhysicsCfg()
    model, layout = build_scene(num_arms, "box", physics)
    return MujocoSimulator(
        model,
        layout,
        Worlds(half_size, mass(half_size), friction),
        substeps=physics.substeps,
        num_threads=num_threads,
    )
