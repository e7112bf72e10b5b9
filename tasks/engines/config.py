"""Schema of `cfg/engine`, and which engine runs where."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

from tasks.errors import check_choice, refuse


@dataclass
class MujocoCfg:
    """MuJoCo on CPU threads."""

    name: str = "mujoco"
    """Engine name, as in `engine=<name>`."""
    num_threads: int = 0
    """Physics threads; 0 = the cores granted to this process."""
    physics: str = "settled"
    """Of the Allegro-Kuka tasks: `settled`, 2 substeps of 1/120 s, hand gains 8/1; `parity`, 4 of
    1/240 s, gains 40/5."""


@dataclass
class MujocoWarpCfg:
    """MuJoCo Warp on a CUDA device; on `device=cpu` it is slow and only there for tests."""

    name: str = "mujoco_warp"
    """Engine name, as in `engine=<name>`."""
    physics: str = "settled"
    """As in `MujocoCfg`."""
    graph: bool = True
    """Replay each control step as one graph; false: kernel by kernel, slow, to look for faults."""
    kernel_cache: Optional[str] = None
    """Folder of compiled kernels; None: the environment variable `WARP_CACHE_PATH`, else Warp's
    own folder below the user's home."""
    max_contacts: int = 0
    """Contacts per world, on average over the worlds; 0: the measured need of the scene."""
    max_constraints: int = 0
    """Constraint rows per world, a hard limit; 0: the measured need of the scene."""
    solver_iterations: int = 10
    """Most Newton iterations per physics step, since all worlds wait for the slowest; 0: as on the
    CPU, 20. With 5, 10 and 20 a scripted grasp holds equally well; random actions want more than
    10 in 1 % of the world steps."""


@dataclass
class IsaacGymCfg:
    """Isaac Gym through isaacgymenvs, on Python 3.8."""

    name: str = "isaacgym"
    """Engine name, as in `engine=<name>`."""
    overrides: List[str] = field(default_factory=list)
    """Hydra overrides of isaacgymenvs' own configuration, such as
    `task.sim.physx.default_buffer_size_multiplier=5.0`; they have the last word."""
    verify: bool = True
    """Compare robot and observation with ours at the start; false: begin whatever differs."""


@dataclass
class AutoCfg(MujocoWarpCfg, MujocoCfg):
    """The engine that fits the device, with the settings of the MuJoCo engines."""

    name: str = "auto"
    """Engine name, as in `engine=<name>`."""


SCHEMAS = (AutoCfg, MujocoCfg, MujocoWarpCfg, IsaacGymCfg)
"""Schemas of the group `engine`."""


class Engine(NamedTuple):
    """Where an engine runs and what it needs.

    Attributes:
        devices: kinds of device, the preferred one first.
        package: Python package that must be importable.
        way_out: what to do where it is not.
    """

    devices: Tuple[str, ...]
    package: str
    way_out: str


ENGINES: Dict[str, Engine] = {
    "mujoco": Engine(("cpu",), "mujoco", "pip install 'epo[mujoco]'"),
    "mujoco_warp": Engine(
        ("cuda", "cpu"), "mujoco_warp", "pip install 'epo[warp]', or use device=cpu engine=mujoco"
    ),
    "isaacgym": Engine(
        ("cuda", "cpu"), "isaacgym", "see docs/isaacgym.md, or use engine=mujoco_warp"
    ),
}
"""What there is for `engine=<name>`."""
MUJOCO = ("mujoco", "mujoco_warp")
"""Engines that run any MuJoCo model."""
AUTO = {"cuda": "mujoco_warp", "cpu": "mujoco"}
"""What `engine=auto` means, by the kind of device."""


def check(cfg: Any, engines: Iterable[str] = ENGINES) -> None:
    """Refuse impossible values.

    Args:
        cfg: an engine schema, filled.
        engines: what the task can run on.

    Raises:
        ValueError: naming the setting, its value and the way out.
    """
    check_choice("engine.name", cfg.name, ("auto", *engines))
    for name in ("num_threads", "max_contacts", "max_constraints", "solver_iterations"):
        if getattr(cfg, name, 0) < 0:
            refuse(f"engine.{name}", getattr(cfg, name), "use 0 (automatic) or more")


def devices(engine_cfg: Any) -> Tuple[str, ...]:
    """List the kinds of device that an engine runs on, the preferred one first.

    Raises:
        ValueError: if there is no such engine.
    """
    check_choice("engine.name", engine_cfg.name, ("auto", *ENGINES))
    return tuple(AUTO) if engine_cfg.name == "auto" else ENGINES[engine_cfg.name].devices


def choose(engine_cfg: Any, device: str) -> List[str]:
    """Replace the engine `auto` by the one that fits the device, in place.

    Returns:
        A line such as `engine=mujoco (auto: device=cpu)` if there was a choice.

    Raises:
        ValueError: if the engine is unknown, does not fit the device or is not installed.
    """
    choices, kind = [], device.partition(":")[0]
    kinds = devices(engine_cfg)
    if kind not in kinds:
        way_out = f"engine={engine_cfg.name} runs on {', '.join(kinds)}; use device={kinds[0]}"
        refuse("device", device, way_out)
    if engine_cfg.name == "auto":
        engine_cfg.name = AUTO[kind]
        choices.append(f"engine={engine_cfg.name} (auto: device={device})")
    engine = ENGINES[engine_cfg.name]
    if importlib.util.find_spec(engine.package) is None:
        refuse("engine", engine_cfg.name, f"it is not installed; {engine.way_out}")
    return choices
