"""Engines of the Allegro-Kuka tasks: what each can do with them, and how it builds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Protocol

if TYPE_CHECKING:
    import torch

    from epo.envs import VecEnv
    from tasks.allegro_kuka.config import AllegroKukaCfg


class Engine(Protocol):
    """An engine, as far as these tasks must know it.

    Attributes:
        can_set_clock: episodes can begin late.
        can_draw: single worlds can be drawn.
    """

    can_set_clock: bool = True
    can_draw: bool = True

    def preload(self) -> None:
        """Import what must come before torch."""

    def check(self, cfg: AllegroKukaCfg) -> None:
        """Refuse settings of a task that it cannot follow."""

    def check_device(self, device: str) -> None:
        """Refuse a device that it is known to fail on."""

    def notes(self, cfg: AllegroKukaCfg, engine_cfg: Any) -> List[str]:
        """Return what is good to know before a run."""
        return []

    def make(
        self,
        cfg: AllegroKukaCfg,
        engine_cfg: Any,
        num_envs: int,
        device: torch.device,
        seed: int,
        num_agents: int,
    ) -> VecEnv:
        """Build the environments, as `Family.make`."""
        ...


class MujocoEngine(Engine):
    """MuJoCo, MuJoCo Warp, or whichever of them fits the device."""

    def make(
        self,
        cfg: AllegroKukaCfg,
        engine_cfg: Any,
        num_envs: int,
        device: torch.device,
        seed: int,
        num_agents: int,
    ) -> VecEnv:
        """Build the scene and the task over a simulator of it."""
        from tasks.allegro_kuka.build import build

        return build(cfg, engine_cfg, num_envs, device, seed, num_agents)
