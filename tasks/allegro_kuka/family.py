"""What the Allegro-Kuka tasks answer for themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from tasks import ranges
from tasks.allegro_kuka import config
from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.allegro_kuka.engine import Engine, MujocoEngine
from tasks.allegro_kuka.physics import PHYSICS_PRESETS
from tasks.clock import Clock
from tasks.engines import config as engines
from tasks.errors import check_choice, refuse
from tasks.family import Family
from tasks.isaacgym.engine import IsaacGymEngine

if TYPE_CHECKING:
    import torch

    from epo.envs import VecEnv
    from epo.viewer.scene import Scene
    from tasks.description import Description
    from tasks.rendering import Renderer

ENGINES: Dict[str, Engine] = {"isaacgym": IsaacGymEngine()}
"""Engines that are not of `tasks/engines`, by `engine.name`."""


def engine(engine_cfg: Any) -> Engine:
    """Return what an engine can do with these tasks."""
    return ENGINES.get(engine_cfg.name, MujocoEngine())


class AllegroKukaFamily(Family):
    """Regrasping, reorientation and throwing with one or two arms."""

    ranges = ranges.ALLEGRO_KUKA
    is_drawn = True

    def schemas(self) -> Dict[str, Any]:
        """Return the schema of all of them."""
        return {"base_allegro_kuka": AllegroKukaCfg}

    def preload(self, cfg: AllegroKukaCfg, engine_cfg: Any) -> None:
        """Import what the engine needs before torch."""
        engine(engine_cfg).preload()

    def check(self, cfg: AllegroKukaCfg, engine_cfg: Any) -> None:
        """Refuse impossible settings of the task, of the engine, and of the two together."""
        config.check(cfg)
        engines.check(engine_cfg)
        if hasattr(engine_cfg, "physics"):
            check_choice("engine.physics", engine_cfg.physics, PHYSICS_PRESETS)
        engine(engine_cfg).check(cfg)

    def clock(self, cfg: AllegroKukaCfg, engine_cfg: Any) -> Optional[Clock]:
        """Return the clock, which is observed."""
        can_be_set = engine(engine_cfg).can_set_clock
        return Clock(cfg.episode_length - 1, True, True) if can_be_set else None

    def longest_episode(self, cfg: AllegroKukaCfg) -> int:
        """Return the steps of all successes: each gives the time for another goal."""
        return cfg.max_successes * cfg.episode_length

    def devices(self, cfg: AllegroKukaCfg, engine_cfg: Any) -> Tuple[str, ...]:
        """Return the kinds of device of the engine."""
        return engines.devices(engine_cfg)

    def choose_engine(self, cfg: AllegroKukaCfg, engine_cfg: Any, device: str) -> List[str]:
        """Replace the engine `auto` by the one that fits the device, in place."""
        choices = engines.choose(engine_cfg, device)
        its = engine(engine_cfg)
        its.check_device(device)
        return choices + its.notes(cfg, engine_cfg)

    def prepare_drawing(self, cfg: AllegroKukaCfg, engine_cfg: Any) -> None:
        """Load OpenGL before MuJoCo does."""
        if not engine(engine_cfg).can_draw:
            refuse("engine", engine_cfg.name, "its worlds are not drawn here; use engine=mujoco")
        from tasks.engines import opengl

        opengl.load()

    def make_renderer(self, env: Any, width: int, height: int) -> Renderer:
        """Get ready to draw single worlds."""
        from tasks.allegro_kuka.rendering import make_renderer

        return make_renderer(env, width, height)

    def prepare_viewing(self, cfg: AllegroKukaCfg, engine_cfg: Any, is_training: bool) -> None:
        """Refuse engines without worlds to show; OpenGL is the browser's."""
        if not engine(engine_cfg).can_draw:
            refuse("engine", engine_cfg.name, "its worlds are not viewed here; use engine=mujoco")

    def make_scene(self, env: Any) -> Scene:
        """Return the scene of robot and object, which can be pushed and placed."""
        from tasks.allegro_kuka.viewing import AllegroKukaScene

        return AllegroKukaScene(env)

    def describe(self, cfg: AllegroKukaCfg, observation_dim: int, action_dim: int) -> Description:
        """Describe the vectors part by part."""
        from tasks.allegro_kuka.description import describe

        return describe(cfg)

    def make(
        self,
        cfg: AllegroKukaCfg,
        engine_cfg: Any,
        num_envs: int,
        device: torch.device,
        seed: int,
        num_agents: int,
    ) -> VecEnv:
        """Build the environments on the engine."""
        if num_envs % num_agents:
            refuse("num_envs", num_envs, f"use a multiple of num_agents={num_agents}")
        its = engine(engine_cfg)
        return its.make(cfg, engine_cfg, num_envs, device, seed, num_agents)


FAMILY = AllegroKukaFamily()
