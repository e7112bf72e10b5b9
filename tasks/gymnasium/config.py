"""Settings of Gymnasium tasks; Gymnasium itself is imported only where an `env_id` is looked up."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any, ClassVar, Dict, Optional

from omegaconf import OmegaConf

from tasks.errors import check_choice, refuse

VECTORIZATIONS = ("auto", "sync", "async")
OLDEST_PYTHON = (3, 10)
"""What the extra `gymnasium` of this package asks for."""
MAX_TIMEOUT_S = 1e6
"""Bound of the time limits, s; as good as none."""
EXTRA = "pip install 'epo[gymnasium]'"


@dataclass
class PixelsCfg:
    """What is done to an observation that is an image; other observations are left alone.

    An image is what is shown as bytes with two or three axes. A rollout keeps it as float32:
    `(horizon + 1) * num_envs * channels * side^2 * 4` bytes, 68 MB for 16 environments,
    64 steps and 4 images of 64 x 64.
    """

    grayscale: bool = True
    """Luminance instead of colours (Mnih et al. 2015)."""
    side: Optional[int] = 84
    """Height and width after averaging over areas, pixels; None: as the environment gives them
    (Mnih et al. 2015)."""
    frame_stack: int = 4
    """Newest images that are seen together, one control step apart (Mnih et al. 2015)."""


@dataclass
class GymnasiumCfg:
    """A Gymnasium environment."""

    hides_clock: ClassVar[bool] = True
    """The observation does not tell how much of an episode is left."""
    kind: str = "gymnasium"
    """Family of the task, as the registry knows it."""
    name: str = "Gymnasium"
    """Task name, as in `task=<name>`."""
    env_id: str = "HalfCheetah-v5"
    """Environment as `gymnasium.make` knows it. `package:Name-v0` imports `package` first, which
    registers it: this is how your own environments, or `ale_py:ALE/Pong-v5`, are found."""
    kwargs: Dict[str, Any] = field(default_factory=dict)
    """Arguments for the environment, such as `task.kwargs.continuous=true`."""
    max_episode_steps: Optional[int] = None
    """Time limit before `frame_skip`, environment steps; None: the environment's own."""
    frame_skip: int = 1
    """Environment steps that one action lasts; their rewards are added. Together they are one
    control step, one frame of the run. 1: no repetition."""
    pixels: PixelsCfg = field(default_factory=PixelsCfg)
    """What is done to images."""
    solved_return: Optional[float] = None
    """Episode return from which an episode counts as `solved`, task units; None: the
    environment's own `reward_threshold`, if it has one."""
    vectorization: str = "auto"
    """`sync`: one after the other in this process; `async`: worker processes, each with an equal
    share; `auto`: workers if a control step of all environments takes long enough, as timed."""
    num_workers: Optional[int] = None
    """Processes of `async`; None: one per granted core."""
    step_timeout_s: float = 60.0
    """Longest time of one step or picture of one environment, s: what takes longer hangs, and the
    run is saved and fails (ours)."""
    start_timeout_s: float = 300.0
    """Longest time of one import, construction or reset of an environment, s (ours)."""
    envs_per_core: int = 16
    """What `num_envs=auto` means, environments per CPU core (ours: rollouts of a few thousand
    frames on a laptop)."""


def schema() -> Any:
    """Return the schema; `task.kwargs` takes any name."""
    node = OmegaConf.structured(GymnasiumCfg)
    OmegaConf.set_struct(node.kwargs, False)
    return node


def check(cfg: GymnasiumCfg) -> None:
    """Refuse impossible settings, an environment that does not exist among them.

    Raises:
        ValueError: naming the setting, its value and the way out.
    """
    check_choice("task.vectorization", cfg.vectorization, VECTORIZATIONS)
    for name, value in (
        ("task.max_episode_steps", cfg.max_episode_steps),
        ("task.frame_skip", cfg.frame_skip),
        ("task.pixels.side", cfg.pixels.side),
        ("task.pixels.frame_stack", cfg.pixels.frame_stack),
        ("task.num_workers", cfg.num_workers),
        ("task.envs_per_core", cfg.envs_per_core),
    ):
        if value is not None and value < 1:
            refuse(name, value, "use at least 1")
    for name, value in (
        ("task.step_timeout_s", cfg.step_timeout_s),
        ("task.start_timeout_s", cfg.start_timeout_s),
    ):
        if not 0.0 < value < MAX_TIMEOUT_S:
            refuse(name, value, f"use a time above 0 and below {MAX_TIMEOUT_S:g} seconds")
    _check_installed(cfg.name)
    from tasks.gymnasium.lookup import find_spec

    find_spec(cfg)


def imported_module(settings: Any) -> Optional[str]:
    """Return the module that plain settings, such as those in a `config.yaml`, ask to import.

    That is what `module:Name-v0` names, also behind Gymnasium's own wrapper of the old gym.
    """
    if not isinstance(settings, dict):
        return None
    kwargs = settings.get("kwargs")
    inner = kwargs.get("env_id") if isinstance(kwargs, dict) else None
    for env_id in (settings.get("env_id"), inner):
        module, is_named, _ = str(env_id or "").rpartition(":")
        if is_named:
            return module
    return None


def _check_installed(task: str) -> None:
    if sys.version_info < OLDEST_PYTHON:
        have, need = (".".join(map(str, v[:2])) for v in (sys.version_info, OLDEST_PYTHON))
        refuse("task", task, f"Gymnasium needs Python {need}, this is {have}; use a newer Python")
    try:
        import gymnasium  # noqa: F401 (only whether it is there)
    except ImportError as error:
        refuse("task", task, f"Gymnasium cannot be imported ({error}); {EXTRA}")
