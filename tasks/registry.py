"""From a task config and an engine config to a `VecEnv`."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Callable, Dict, List

import torch
from omegaconf import OmegaConf

from epo.envs import VecEnv
from tasks.allegro_kuka import objects, randomization
from tasks.allegro_kuka.config import AllegroKukaCfg, randomized
from tasks.allegro_kuka.draws import RandomDraws
from tasks.allegro_kuka.task import AllegroKuka
from tasks.config import check, choose_engine
from tasks.engines.simulator import Simulator, Worlds
from tasks.errors import check_choice, refuse
from tasks.probes import make_probe

_CFG = Path(__file__).resolve().parents[1] / "cfg" / "task"


def names() -> List[str]:
    """List the names for `task=<name>`."""
    return sorted(path.stem for path in _CFG.glob("*.yaml"))


def make(
    task_cfg: Any,
    engine_cfg: Any,
    num_envs: int,
    device: torch.device,
    seed: int,
    num_agents: int = 1,
) -> VecEnv:
    """Build the environments of a run.

    Args:
        task_cfg: a task schema, filled; its `kind` names the family in `TASKS`.
        engine_cfg: an engine schema, filled; tasks without physics ignore it.
        num_envs: N, environments.
        device: where all tensors live.
        seed: of everything random in the task.
        num_agents: K; env i belongs to agent i // (N / K).

    Raises:
        ValueError: at an unknown task or engine, or an impossible setting.
    """
    task_cfg, engine_cfg = (
        OmegaConf.to_object(cfg) if OmegaConf.is_config(cfg) else cfg
        for cfg in (task_cfg, engine_cfg)
    )
    check_choice("task.name", task_cfg.name, names())
    check_choice("task.kind", task_cfg.kind, TASKS)
    check(task_cfg, engine_cfg)
    engine_cfg = copy.copy(engine_cfg)
    choose_engine(task_cfg, engine_cfg, str(device))
    return TASKS[task_cfg.kind](
        task_cfg, engine_cfg, num_envs, torch.device(device), seed, num_agents
    )


def _allegro_kuka(
    cfg: AllegroKukaCfg,
    engine_cfg: Any,
    num_envs: int,
    device: torch.device,
    seed: int,
    num_agents: int,
) -> VecEnv:
    if num_envs % num_agents:
        refuse("num_envs", num_envs, f"use a multiple of num_agents={num_agents}")
    if engine_cfg.name == "isaacgym":
        from tasks.isaacgym.env import make_isaacgym

        return make_isaacgym(cfg, engine_cfg, num_envs, device, seed)
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


def _probe(
    cfg: Any, engine_cfg: Any, num_envs: int, device: torch.device, seed: int, num_agents: int
) -> VecEnv:
    return make_probe(cfg, num_envs, device, seed, num_agents)


def _classic(
    cfg: Any, engine_cfg: Any, num_envs: int, device: torch.device, seed: int, num_agents: int
) -> VecEnv:
    from tasks.classic.env import ClassicEnv

    return ClassicEnv(cfg, num_envs, device, seed)


def _gymnasium(
    cfg: Any, engine_cfg: Any, num_envs: int, device: torch.device, seed: int, num_agents: int
) -> VecEnv:
    from tasks.gymnasium.env import GymnasiumEnv

    return GymnasiumEnv(cfg, num_envs, device, seed)


TASKS: Dict[str, Callable[..., VecEnv]] = {
    "allegro_kuka": _allegro_kuka,
    "classic": _classic,
    "gymnasium": _gymnasium,
    "probe": _probe,
}
"""Builders by the `kind` of the task config, with the arguments of `make`."""
SIMULATORS: Dict[str, Callable[..., Simulator]] = {
    "mujoco": _mujoco,
    "mujoco_warp": _mujoco_warp,
}
"""Builders of the physics of the Allegro-Kuka tasks, by the name of the engine."""
