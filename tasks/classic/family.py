"""What the classic tasks answer for themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Optional

from tasks import ranges
from tasks.classic import config
from tasks.classic.config import AcrobotCfg, ClassicCfg
from tasks.clock import Clock
from tasks.family import Family
from tasks.interface import Interface

if TYPE_CHECKING:
    import torch

    from epo.envs import VecEnv
    from tasks.rendering import Renderer


class ClassicFamily(Family):
    """Batched tasks in plain torch."""

    ranges = ranges.CLASSIC
    is_drawn = True

    def schemas(self) -> Dict[str, Any]:
        """Return one schema per task."""
        return {f"base_{schema.name}": schema for schema in config.SCHEMAS}

    def check(self, cfg: ClassicCfg, engine_cfg: Any) -> None:
        """Refuse impossible settings, a maze without a way among them."""
        config.check(cfg)

    def interface(self, cfg: ClassicCfg) -> Optional[Interface]:
        """Return what a task shows and takes: vectors, and real actions in all tasks but one."""
        return Interface(cfg.name, (3,) if isinstance(cfg, AcrobotCfg) else (), None)

    def clock(self, cfg: ClassicCfg, engine_cfg: Any) -> Optional[Clock]:
        """Return the clock, which is not observed."""
        return Clock(cfg.episode_length, False, True)

    def prepare_drawing(self, cfg: ClassicCfg, engine_cfg: Any) -> None:
        """Do nothing: all of them can be drawn."""

    def make_renderer(self, env: Any, width: int, height: int) -> Renderer:
        """Get ready to draw single worlds."""
        from tasks.classic.rendering import ClassicRenderer

        return ClassicRenderer(env, width, height)

    def make(
        self,
        cfg: ClassicCfg,
        engine_cfg: Any,
        num_envs: int,
        device: torch.device,
        seed: int,
        num_agents: int,
    ) -> VecEnv:
        """Build the environments."""
        from tasks.classic.env import ClassicEnv

        return ClassicEnv(cfg, num_envs, device, seed)


FAMILY = ClassicFamily()
