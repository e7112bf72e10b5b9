"""What the probes answer for themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Optional

from tasks import ranges
from tasks.clock import Clock
from tasks.errors import check_choice
from tasks.family import Family
from tasks.probes.config import PROBE_KINDS, ProbeCfg

if TYPE_CHECKING:
    import torch

    from epo.envs import VecEnv


class ProbeFamily(Family):
    """Tiny tasks with known answers."""

    ranges = ranges.COMMON

    def schemas(self) -> Dict[str, Any]:
        """Return the schema of all probes."""
        return {"base_probe": ProbeCfg}

    def check(self, cfg: ProbeCfg, engine_cfg: Any) -> None:
        """Refuse a probe that does not exist."""
        check_choice("task.probe", cfg.probe, PROBE_KINDS)

    def clock(self, cfg: ProbeCfg, engine_cfg: Any) -> Optional[Clock]:
        """Return the clock of a probe."""
        from tasks.probes.env import PROBES

        check_choice("task.probe", cfg.probe, PROBES)
        probe = PROBES[cfg.probe]
        return Clock(cfg.episode_length, probe.observes_clock, probe.is_truncated)

    def episode_length(self, cfg: ProbeCfg) -> Optional[int]:
        """Return the time limit, control steps."""
        return cfg.episode_length

    def make(
        self,
        cfg: ProbeCfg,
        engine_cfg: Any,
        num_envs: int,
        device: torch.device,
        seed: int,
        num_agents: int,
    ) -> VecEnv:
        """Build the probe that `cfg.probe` names."""
        from tasks.probes.env import make_probe

        return make_probe(cfg, num_envs, device, seed, num_agents)


FAMILY = ProbeFamily()
