"""What train.py asks of the tasks before anything heavy is imported: schemas, checks, engines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Optional, Tuple

import tasks.allegro_kuka.config as allegro_kuka
import tasks.classic.config as classic
import tasks.engines.config as engines
import tasks.gymnasium.config as gymnasium
import tasks.isaacgym.preload as isaacgym
import tasks.isaacgym.settings as isaacgym_settings
from tasks import ranges
from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.classic.config import ClassicCfg
from tasks.clock import Clock
from tasks.engines.config import AutoCfg, IsaacGymCfg, MujocoCfg, MujocoWarpCfg
from tasks.errors import check_choice
from tasks.gymnasium.config import GymnasiumCfg
from tasks.interface import Interface

PROBE_KINDS = ("value", "discount", "policy", "memory", "gene", "reach")


@dataclass
class ProbeCfg:
    """A probe task."""

    kind: str = "probe"
    """Family of the task, as the registry knows it."""
    name: str = "ProbeReach"
    """Task name, as in `task=<name>`."""
    probe: str = "reach"
    """What is asked: value, discount, policy, memory, gene or reach."""
    episode_length: int = 50
    """Control steps per episode (ours: short enough for tests)."""


def register(store: Any) -> None:
    """Put the schemas into `store` (a Hydra ConfigStore) as `base_*` of their groups."""
    store.store(group="task", name="base_allegro_kuka", node=AllegroKukaCfg)
    store.store(group="task", name="base_probe", node=ProbeCfg)
    gymnasium.register(store)
    classic.register(store)
    for schema in (AutoCfg, MujocoCfg, MujocoWarpCfg, IsaacGymCfg):
        store.store(group="engine", name=f"base_{schema.name}", node=schema)


def preload(task_cfg: Any, engine_cfg: Any) -> None:
    """Import what an engine needs before torch; call it before anything that imports torch.

    Raises:
        ValueError: if that cannot work here, with the reason and the way out.
    """
    if isinstance(task_cfg, AllegroKukaCfg) and engine_cfg.name == "isaacgym":
        isaacgym.preload()


def check(task_cfg: Any, engine_cfg: Any) -> None:
    """Refuse impossible values of a task and its engine; other families check themselves.

    Raises:
        ValueError: naming the setting, its value and the way out.
    """
    if isinstance(task_cfg, AllegroKukaCfg):
        allegro_kuka.check(task_cfg)
        engines.check(engine_cfg)
        if engine_cfg.name == "isaacgym":
            isaacgym_settings.check(task_cfg)
    elif isinstance(task_cfg, GymnasiumCfg):
        gymnasium.check(task_cfg)
    elif isinstance(task_cfg, ClassicCfg):
        classic.check(task_cfg)
    elif isinstance(task_cfg, ProbeCfg):
        check_choice("task.probe", task_cfg.probe, PROBE_KINDS)
    ranges.check("task", task_cfg)
    ranges.check("engine", engine_cfg)


def imported_module(settings: Any) -> Optional[str]:
    """Return the module that plain settings of a task ask to import; None: nothing but our own."""
    return gymnasium.imported_module(settings)


def interface(task_cfg: Any) -> Optional[Interface]:
    """Say what a task shows and takes; None where it is vectors and real actions in any case.

    A Gymnasium environment is built for this, a single one.

    Raises:
        ValueError: if that cannot be done, with the reason and the way out.
    """
    if isinstance(task_cfg, ClassicCfg):
        return classic.interface(task_cfg)
    if not isinstance(task_cfg, GymnasiumCfg):
        return None
    from tasks.gymnasium.interface import interface as of_environment

    return of_environment(task_cfg)


def clock(task_cfg: Any, engine_cfg: Any) -> Optional[Clock]:
    """Say how a task measures the time of its episodes; None where the clock cannot be set.

    Raises:
        ValueError: if there is no such task.
    """
    if isinstance(task_cfg, AllegroKukaCfg):
        can_be_set = engine_cfg.name != "isaacgym"
        return Clock(task_cfg.episode_length - 1, True, True) if can_be_set else None
    if isinstance(task_cfg, GymnasiumCfg):
        from tasks.gymnasium.environments import episode_length

        return Clock(episode_length(task_cfg), False, True)
    if isinstance(task_cfg, ProbeCfg):
        from tasks.probes import PROBES

        check_choice("task.probe", task_cfg.probe, PROBES)
        probe = PROBES[task_cfg.probe]
        return Clock(task_cfg.episode_length, probe.observes_clock, probe.is_truncated)
    if isinstance(task_cfg, ClassicCfg):
        return Clock(task_cfg.episode_length, False, True)
    return None


def devices(task_cfg: Any, engine_cfg: Any) -> Tuple[str, ...]:
    """List the kinds of device that a task runs on with an engine, the preferred one first.

    Raises:
        ValueError: if there is no such engine.
    """
    if isinstance(task_cfg, AllegroKukaCfg):
        return engines.devices(engine_cfg)
    return ("cuda", "cpu")


def choose_engine(task_cfg: Any, engine_cfg: Any, device: str) -> List[str]:
    """Replace the engine `auto` by the one that fits the device, in place.

    Returns:
        A line such as `engine=mujoco (auto: device=cpu)` if there was a choice, and what else
        is good to know before the run.

    Raises:
        ValueError: if the engine is unknown, does not fit the device or is not installed.
    """
    if not isinstance(task_cfg, AllegroKukaCfg):
        return []
    choices = engines.choose(engine_cfg, device)
    if engine_cfg.name == "isaacgym":
        isaacgym.check_device(device)
        choices += isaacgym_settings.notes(task_cfg, engine_cfg.overrides)
    return choices
