"""Simulators for the tests of the physics."""

from __future__ import annotations

from typing import Any, Optional

import torch
from torch import Tensor

from tasks.allegro_kuka.objects import mass
from tasks.allegro_kuka.physics import PhysicsCfg
from tasks.allegro_kuka.robot_worlds import RobotWorlds
from tasks.allegro_kuka.scene import build_scene, engine_model
from tasks.allegro_kuka.worlds import Worlds
from tasks.engines.config import MujocoCfg, MujocoWarpCfg


def robots(
    worlds: Worlds,
    engine: Any,
    num_arms: int = 1,
    goal: str = "box",
    wall: str = "none",
    physics: Optional[PhysicsCfg] = None,
    device: str = "cpu",
) -> RobotWorlds:
    """Make worlds that differ as `worlds` says, on the engine of a filled schema."""
    physics = physics or PhysicsCfg()
    mj, layout = build_scene(num_arms, goal, physics, wall)
    model = engine_model(mj, layout, physics.substeps)
    return RobotWorlds(model, layout, worlds, engine, torch.device(device))


def worlds(
    half_size: Tensor,
    num_arms: int = 1,
    physics: Optional[PhysicsCfg] = None,
    friction: Optional[Tensor] = None,
    num_threads: int = 2,
    goal: str = "box",
    wall: str = "none",
) -> RobotWorlds:
    """Make one world per row of `half_size` [N, 3] m, robots at home, boxes above the table."""
    drawn = Worlds(half_size, mass(half_size), friction)
    return robots(drawn, MujocoCfg(num_threads=num_threads), num_arms, goal, wall, physics)


def warp_worlds(
    half_size: Tensor,
    num_arms: int = 1,
    goal: str = "box",
    wall: str = "none",
    device: str = "cpu",
    **settings: Any,
) -> RobotWorlds:
    """Make the same worlds on the GPU engine; `settings` are those of `MujocoWarpCfg`."""
    drawn = Worlds(half_size, mass(half_size))
    return robots(drawn, MujocoWarpCfg(**settings), num_arms, goal, wall, device=device)
