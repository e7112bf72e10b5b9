"""What batched environments of others answer for themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional

from tasks import ranges
from tasks.clock import Clock
from tasks.family import Family
from tasks.vector import config
from tasks.vector.config import VectorCfg

if TYPE_CHECKING:
    import torch

    from epo.envs import VecEnv
    from tasks.rendering import Renderer


class VectorFamily(Family):
    """Anything that steps N environments at once."""

    ranges = ranges.VECTOR

    def schemas(self) -> Dict[str, Any]:
        """Return the schema of all of them."""
        return {"base_vector": config.schema()}

    def check(self, cfg: VectorCfg, engine_cfg: Any) -> None:
        """Refuse impossible settings."""
        config.check(cfg)

    def imported_module(self, settings: Mapping[str, Any]) -> Optional[str]:
        """Return the module of `make`."""
        return config.imported_module(settings)

    def clock(self, cfg: VectorCfg, engine_cfg: Any) -> Optional[Clock]:
        """Return a clock that nobody is known to see; whether it can be set is seen once built."""
        return Clock(0, False, True)

    def prepare_drawing(self, cfg: VectorCfg, engine_cfg: Any) -> None:
        """Do nothing: whether it can be drawn is known once it is built."""

    def make_renderer(self, env: Any, width: int, height: int) -> Renderer:
        """Get ready to draw with the environment's own `draw` or `render`."""
        from tasks.vector.rendering import VectorRenderer

        return VectorRenderer(env)

    def make(
        self,
        cfg: VectorCfg,
        engine_cfg: Any,
        num_envs: int,
        device: torch.device,
        seed: int,
        num_agents: int,
    ) -> VecEnv:
        """Call the function and adapt what it returns; a contract check follows."""
        from tasks.vector.adapt import checked
        from tasks.vector.loading import build

        return checked(build(cfg, num_envs, device, seed), cfg, num_envs, device, seed)


FAMILY = VectorFamily()
