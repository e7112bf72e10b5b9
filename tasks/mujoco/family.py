"""What tasks over a MuJoCo model answer for themselves; MuJoCo is imported where it is needed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple

from tasks.clock import Clock
from tasks.description import Description, Part
from tasks.engines import config as engines
from tasks.family import Family
from tasks.mujoco.config import ArmReachCfg
from tasks.ranges import COMMON, MUJOCO, Range

if TYPE_CHECKING:
    import torch

    from epo.envs import VecEnv
    from epo.viewer.scene import Scene
    from tasks.mujoco.task import MujocoTask
    from tasks.rendering import Renderer


class MujocoFamily(Family):
    """Tasks over a MuJoCo model.

    Args:
        schemas: name -> dataclass, as `Family.schemas`.
        tasks: dataclass -> where its `MujocoTask` is, `package.module:name`, imported when it is
            needed.
        ranges: setting -> what its numbers may be.
    """

    is_drawn = True

    def __init__(
        self,
        schemas: Mapping[str, Any],
        tasks: Mapping[Any, str],
        ranges: Mapping[str, Range] = COMMON,
    ) -> None:
        self._schemas, self._tasks, self.ranges = schemas, tasks, ranges

    def schemas(self) -> Dict[str, Any]:
        """Return the schemas of the tasks."""
        return dict(self._schemas)

    def task(self, cfg: Any) -> MujocoTask:
        """Return the task of a filled schema; its module imports MuJoCo."""
        module, _, name = self._tasks[type(cfg)].partition(":")
        return getattr(importlib.import_module(module), name)(cfg)

    def check(self, cfg: Any, engine_cfg: Any) -> None:
        """Refuse engines that run no MuJoCo model."""
        engines.check(engine_cfg, engines.MUJOCO)

    def clock(self, cfg: Any, engine_cfg: Any) -> Optional[Clock]:
        """Return the clock, which is not observed."""
        return Clock(cfg.episode_length, False, True)

    def devices(self, cfg: Any, engine_cfg: Any) -> Tuple[str, ...]:
        """Return the kinds of device of the engine."""
        return engines.devices(engine_cfg)

    def choose_engine(self, cfg: Any, engine_cfg: Any, device: str) -> List[str]:
        """Replace the engine `auto` by the one that fits the device, in place."""
        return engines.choose(engine_cfg, device)

    def describe(self, cfg: Any, observation_dim: int, action_dim: int) -> Description:
        """Describe the vectors: the task's parts, and an action per actuator."""
        task, parts, begin = self.task(cfg), [], 0
        for name, width, meaning in task.observation:
            parts.append(Part(name, begin, begin + width, meaning))
            begin += width
        action = [Part("action", 0, task.action_dim, task.action)]
        return Description(parts, action, [])

    def prepare_drawing(self, cfg: Any, engine_cfg: Any) -> None:
        """Load OpenGL before MuJoCo does."""
        from tasks.engines import opengl

        opengl.load()

    def make_renderer(self, env: Any, width: int, height: int) -> Renderer:
        """Get ready to draw single worlds."""
        import numpy as np

        from tasks.engines.drawing import WorldRenderer

        task, shown = env.task, np.reshape(env.task.shown, (-1, 3))
        size = (task.goal_radius_m, width, height)
        return WorldRenderer(env.sim.world, task.camera, shown, *size, task.goal_geom)

    def prepare_viewing(self, cfg: Any, engine_cfg: Any, is_training: bool) -> None:
        """Do nothing: OpenGL is the browser's."""

    def make_scene(self, env: Any) -> Scene:
        """Return the shapes of the model, where they are."""
        from tasks.mujoco.viewing import ModelScene

        return ModelScene(env)

    def make(
        self,
        cfg: Any,
        engine_cfg: Any,
        num_envs: int,
        device: torch.device,
        seed: int,
        num_agents: int,
    ) -> VecEnv:
        """Build the environments on the engine."""
        from tasks.mujoco.env import MujocoEnv

        return MujocoEnv(self.task(cfg), cfg, engine_cfg, num_envs, device, seed)


FAMILY = MujocoFamily(
    {"base_arm_reach": ArmReachCfg}, {ArmReachCfg: "tasks.mujoco.arm_reach:ArmReach"}, MUJOCO
)
