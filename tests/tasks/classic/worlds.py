"""Classic tasks for tests."""

from __future__ import annotations

from typing import Any

import torch
from omegaconf import OmegaConf

from tasks import registry
from tasks.classic.config import SCHEMAS
from tasks.classic.env import ClassicEnv
from tasks.engines.config import AutoCfg

NAMES = sorted(schema.name for schema in SCHEMAS)


def settings(task: str, *overrides: str):
    """Return the settings of a task as the command line would; composing them takes much longer."""
    (schema,) = (schema for schema in SCHEMAS if schema.name == task)
    given = OmegaConf.from_dotlist(list(overrides)).get("task", {})
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), given))


def make(task: str, *overrides: str, num_envs: int = 4, seed: int = 0, device: str = "cpu") -> Any:
    """Build a `ClassicEnv` with overrides such as `task.episode_length=7`."""
    cfg = settings(task, *overrides)
    env = registry.make(cfg, AutoCfg(), num_envs, torch.device(device), seed)
    assert isinstance(env, ClassicEnv)
    return env


def random_actions(env: Any, num_steps: int, seed: int = 0) -> torch.Tensor:
    """Draw actions [T, N, A], a little beyond their range where they are continuous."""
    spec = env.spec
    generator = torch.Generator().manual_seed(seed)
    u = torch.rand(num_steps, spec.num_envs, spec.action_dim, generator=generator)
    return (torch.tensor(spec.choices) * u).floor() if spec.choices else 2.2 * u - 1.1
