"""Simulators for the tests of the physics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

import torch
from torch import Tensor

from tasks.allegro_kuka.objects import mass
from tasks.allegro_kuka.physics import PhysicsCfg
from tasks.allegro_kuka.scene import build_scene
from tasks.engines.config import MujocoWarpCfg
from tasks.engines.mujoco import MujocoSimulator
from tasks.engines.simulator import Worlds

if TYPE_CHECKING:
    from tasks.engines.mujoco_warp import MujocoWarpSimulator


def worlds(
    half_size: Tensor,
    num_arms: int = 1,
    physics: Optional[PhysicsCfg] = None,
    friction: Optional[Tensor] = None,
    num_threads: int = 2,
    goal: str = "box",
    wall: str = "none",
) -> MujocoSimulator:
    """Make one world per row of `half_size` [N, 3] m, robots at home, boxes above the table."""
    physics = physics or PhysicsCfg()
    model, layout = build_scene(num_arms, goal, physics, wall)
    return MujocoSimulator(
        model,
        layout,
        Worlds(half_size, mass(half_size), friction),
        substeps=physics.substeps,
        num_threads=num_threads,
    )


def warp_worlds(
    half_size: Tensor,
    num_arms: int = 1,
    goal: str = "box",
    wall: str = "none",
    device: str = "cpu",
    **settings: Any,
) -> MujocoWarpSimulator:
    """Make the same worlds on the GPU engine; `settings` are those of `MujocoWarpCfg`."""
    from tasks.engines.mujoco_warp import MujocoWarpSimulator

    model, layout = build_scene(num_arms, goal, PhysicsCfg(), wall)
    return MujocoWarpSimulator(
        model,
        layout,
        Worlds(half_size, mass(half_size)),
        MujocoWarpCfg(**settings),
        torch.device(device),
        substeps=PhysicsCfg().substeps,
    )
