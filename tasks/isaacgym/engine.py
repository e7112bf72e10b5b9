"""Isaac Gym as an engine of the Allegro-Kuka tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, List

from tasks.allegro_kuka.engine import Engine
from tasks.isaacgym import preload, settings

if TYPE_CHECKING:
    import torch

    from epo.envs import VecEnv
    from tasks.allegro_kuka.config import AllegroKukaCfg
    from tasks.engines.config import IsaacGymCfg


class IsaacGymEngine(Engine):
    """isaacgymenvs' own tasks behind our contract."""

    can_set_clock = False
    can_draw = False

    def preload(self) -> None:
        """Import `isaacgym`, which must come before torch."""
        preload.preload()

    def check(self, cfg: AllegroKukaCfg) -> None:
        """Refuse what the tasks of isaacgymenvs cannot do."""
        settings.check(cfg)

    def check_device(self, device: str) -> None:
        """Refuse a GPU on which PhysX is known to crash."""
        preload.check_device(device)

    def notes(self, cfg: AllegroKukaCfg, engine_cfg: IsaacGymCfg) -> List[str]:
        """Return which of our corrections have no effect, and what overrides replace."""
        return settings.notes(cfg, engine_cfg.overrides)

    def make(
        self,
        cfg: AllegroKukaCfg,
        engine_cfg: IsaacGymCfg,
        num_envs: int,
        device: torch.device,
        seed: int,
        num_agents: int,
    ) -> VecEnv:
        """Build the environments; one per process."""
        from tasks.isaacgym.env import make_isaacgym

        return make_isaacgym(cfg, engine_cfg, num_envs, device, seed)
