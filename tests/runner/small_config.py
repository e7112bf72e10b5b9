"""A configuration for tests of run folders: no task or engine is built from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from epo.config import AlgoCfg, Config


@dataclass
class TaskCfg:
    """A task that exists by name only."""

    name: str = "Probe"
    length: int = 10
    reach_m: float = float("inf")


@dataclass
class EngineCfg:
    """An engine that exists by name only."""

    name: str = "probe"
    num_threads: int = 0


@dataclass
class SmallConfig(Config):
    """A resolved configuration."""

    task: Any = field(default_factory=TaskCfg)
    engine: Any = field(default_factory=EngineCfg)
    algo: AlgoCfg = field(default_factory=lambda: AlgoCfg(name="ppo"))
    num_agents: Any = 1
    num_envs: Any = 4
    device: str = "cpu"


def small_config(**settings: Any) -> SmallConfig:
    """Return the configuration with some top-level settings changed."""
    return SmallConfig(**settings)
