"""Build Allegro-Kuka environments on the engines of `tasks/engines`."""

from __future__ import annotations

from typing import Any

import torch

from epo.envs import VecEnv
from tasks.allegro_kuka import objects, randomization
from tasks.allegro_kuka.config import AllegroKukaCfg, randomized
from tasks.allegro_kuka.draws import RandomDraws
from tasks.allegro_kuka.simulator import Simulator
from tasks.allegro_kuka.task import AllegroKuka
from tasks.allegro_kuka.worlds import Worlds


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
    sim = make_sim(cfg, engine_cfg, worlds, device)
    generator = torch.Generator(device).manual_seed(seed)
    draws = RandomDraws(cfg, worlds.object_half_size, sim.joint_lower, sim.joint_upper, generator)
    true_size = worlds.object_half_size if "object_size" in randomized(cfg) else None
    disturbances = randomization.make_disturbances(cfg, num_envs, device, seed)
    nominal = scale.to(device)
    return AllegroKuka(cfg, sim, nominal, draws, engine_cfg.name, true_size, disturbances)


def make_sim(
    cfg: AllegroKukaCfg, engine_cfg: Any, worlds: Worlds, device: torch.device
) -> Simulator:
    """Build the worlds on the engine."""
    from tasks.allegro_kuka.robot_worlds import RobotWorlds
    from tasks.allegro_kuka.scene import task_scene

    model, layout = task_scene(cfg, engine_cfg.physics)
    return RobotWorlds(model, layout, worlds, engine_cfg, device)
