"""Build Allegro-Kuka environments on the engines of `tasks/engines`."""

from __future__ import annotations

from typing import Any, Callable, Dict

import torch

from epo.envs import VecEnv
from tasks.allegro_kuka import objects, randomization
from tasks.allegro_kuka.config import AllegroKukaCfg, randomized
from tasks.allegro_kuka.draws import RandomDraws
from tasks.allegro_kuka.task import AllegroKuka
from tasks.engines.simulator import Simulator, Worlds


def build(
    cfg: AllegroKukaCfg,
    engine_cfg: Any,
    num_envs: int,
    device: torch.device,
    seed: int,
    num_agents: int,
) -> VecEnv:
    """Build the environments, as `Family.make`."""
    scales = objects.object_scales(cfg.objects.sets, cfg.objects.randomize_dimensions)
    scale = objects.deal(scales, num_envs, num_agents, cfg.same_shapes_per_block)
    worlds = randomization.draw_worlds(cfg, objects.half_size(scale), seed, device)
    sim = SIMULATORS[engine_cfg.name](cfg, engine_cfg, worlds, device)
    generator = torch.Generator(device).manual_seed(seed)
    draws = RandomDraws(cfg, worlds.object_half_size, sim.joint_lower, sim.joint_upper, generator)
    true_size = worlds.object_half_size if "object_size" in randomized(cfg) else None
    disturbances = randomization.make_disturbances(cfg, num_envs, device, seed)
    nominal = scale.to(device)
    return AllegroKuka(cfg, sim, nominal, draws, engine_cfg.name, true_size, disturbances)


def _mujoco(
    cfg: AllegroKukaCfg, engine_cfg: Any, worlds: Worlds, device: torch.device
) -> Simulator:
    from tasks.allegro_kuka.scene import task_scene
    from tasks.engines.mujoco import MujocoSimulator

    model, layout, substeps = task_scene(cfg, engine_cfg.physics)
    return MujocoSimulator(
        model, layout, worlds, substeps=substeps, num_threads=engine_cfg.num_threads
    )


def _mujoco_warp(
    cfg: AllegroKukaCfg, engine_cfg: Any, worlds: Worlds, device: torch.device
) -> Simulator:
    from tasks.allegro_kuka.scene import task_scene
    from tasks.engines.mujoco_warp import MujocoWarpSimulator

    model, layout, substeps = task_scene(cfg, engine_cfg.physics)
    return MujocoWarpSimulator(model, layout, worlds, engine_cfg, device, substeps=substeps)


SIMULATORS: Dict[str, Callable[..., Simulator]] = {
    "mujoco": _mujoco,
    "mujoco_warp": _mujoco_warp,
}
"""Builders of the physics, by the name of the engine."""
