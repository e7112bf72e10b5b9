"""What Gymnasium tasks answer for themselves; Gymnasium is imported where it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional

from tasks import ranges
from tasks.clock import Clock
from tasks.errors import refuse
from tasks.family import Family
from tasks.gymnasium import config
from tasks.gymnasium.config import GymnasiumCfg
from tasks.interface import Interface

if TYPE_CHECKING:
    import torch

    from epo.envs import VecEnv
    from tasks.rendering import Renderer


class GymnasiumFamily(Family):
    """Any Gymnasium environment."""

    ranges = ranges.GYMNASIUM
    is_drawn = True

    def schemas(self) -> Dict[str, Any]:
        """Return the schema of all of them."""
        return {"base_gymnasium": config.schema()}

    def check(self, cfg: GymnasiumCfg, engine_cfg: Any) -> None:
        """Refuse impossible settings, an environment that does not exist among them."""
        config.check(cfg)

    def imported_module(self, settings: Mapping[str, Any]) -> Optional[str]:
        """Return the module that `module:Name-v0` names."""
        return config.imported_module(settings)

    def interface(self, cfg: GymnasiumCfg) -> Optional[Interface]:
        """Build one environment and say what it shows and takes."""
        from tasks.gymnasium.interface import interface

        return interface(cfg)

    def clock(self, cfg: GymnasiumCfg, engine_cfg: Any) -> Optional[Clock]:
        """Return the clock, which is not observed."""
        return Clock(self.episode_length(cfg), False, True)

    def episode_length(self, cfg: GymnasiumCfg) -> Optional[int]:
        """Return the time limit, control steps."""
        from tasks.gymnasium import environments

        return environments.episode_length(cfg)

    def prepare_drawing(self, cfg: GymnasiumCfg, engine_cfg: Any) -> None:
        """Set the render mode in place, if the environment has a fitting one."""
        from tasks.gymnasium.rendering import prepare

        prepare(cfg)

    def prepare_viewing(self, cfg: GymnasiumCfg, engine_cfg: Any, is_training: bool) -> None:
        """Refuse to watch a training, whose environments live in workers; prepare pictures."""
        if is_training:
            refuse("record.viewer", "true", "these environments train unseen; use play viewer=web")
        self.prepare_drawing(cfg, engine_cfg)

    def make_renderer(self, env: Any, width: int, height: int) -> Renderer:
        """Get ready to draw single environments, in their own size where they have one."""
        from tasks.gymnasium.rendering import GymnasiumRenderer

        return GymnasiumRenderer(env, (width, height))

    def make(
        self,
        cfg: GymnasiumCfg,
        engine_cfg: Any,
        num_envs: int,
        device: torch.device,
        seed: int,
        num_agents: int,
    ) -> VecEnv:
        """Build the environments, in this process or in workers."""
        from tasks.gymnasium.env import GymnasiumEnv

        return GymnasiumEnv(cfg, num_envs, device, seed)


FAMILY = GymnasiumFamily()
