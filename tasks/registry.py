"""Families of tasks by name, and from the settings of a run to its environments."""

from __future__ import annotations

import copy
import importlib
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

from omegaconf import OmegaConf

from tasks import ranges
from tasks.engines import config as engines
from tasks.errors import check_choice, describe, refuse
from tasks.family import Family

if TYPE_CHECKING:
    import torch

    from epo.envs import VecEnv

ENTRY_POINTS = "epo.tasks"
"""Group in which an installed package names its families: kind -> `package.module:FAMILY`."""
TARGETS: Dict[str, str] = {
    "allegro_kuka": "tasks.allegro_kuka.family:FAMILY",
    "classic": "tasks.classic.family:FAMILY",
    "gymnasium": "tasks.gymnasium.family:FAMILY",
    "mujoco": "tasks.mujoco.family:FAMILY",
    "probe": "tasks.probes.family:FAMILY",
    "vector": "tasks.vector.family:FAMILY",
}
"""`task.kind` -> where its `Family` is."""
_families: Dict[str, Family] = {}


def register(kind: str, target: str) -> None:
    """Make a family of tasks known in this process.

    Args:
        kind: what `task.kind` says in its settings.
        target: where it is, `package.module:name`; imported at once.

    Raises:
        ValueError: if the kind is another family's, or the target is no `Family`.
    """
    if TARGETS.get(kind, target) != target:
        refuse("task.kind", kind, f"it is {TARGETS[kind]} already; give {target} another kind")
    _families[kind] = _load(kind, target)
    TARGETS[kind] = target


def installed() -> Dict[str, str]:
    """Return kind -> target of the families that installed packages offer."""
    found = metadata.entry_points()
    if sys.version_info < (3, 10):
        chosen = found.get(ENTRY_POINTS, ())
    else:
        chosen = found.select(group=ENTRY_POINTS)
    return {point.name: point.value for point in chosen}


def family(kind: str) -> Family:
    """Return the family of a kind.

    Raises:
        ValueError: naming the nearest kind if there is none, or why it cannot be imported.
    """
    if kind not in _families:
        targets = {**installed(), **TARGETS}
        check_choice("task.kind", kind, targets)
        _families[kind] = _load(kind, targets[kind])
    return _families[kind]


def of(task_cfg: Any) -> Family:
    """Return the family of a filled task schema.

    Raises:
        ValueError: as `family`.
    """
    return family(task_cfg.kind)


def families() -> Tuple[Dict[str, Family], List[str]]:
    """Return every family by its kind, and a line for each of an installed package that fails."""
    found, failures = {kind: family(kind) for kind in TARGETS}, []
    for kind in installed():
        try:
            found[kind] = family(kind)
        except ValueError as error:  # noqa: PERF203 (other tasks work all the same)
            failures.append(str(error))
    return found, failures


def store_schemas(store: Any) -> List[str]:
    """Put the schemas of the groups `task` and `engine` into `store` (a Hydra ConfigStore).

    Returns:
        A line for each family of an installed package that cannot be imported.
    """
    found, failures = families()
    for each in found.values():
        for name, node in each.schemas().items():
            store.store(group="task", name=name, node=node)
    for schema in engines.SCHEMAS:
        store.store(group="engine", name=f"base_{schema.name}", node=schema)
    return failures


def check(task_cfg: Any, engine_cfg: Any) -> None:
    """Refuse impossible values of a task and its engine.

    Raises:
        ValueError: naming the setting, its value and the way out.
    """
    its = of(task_cfg)
    its.check(task_cfg, engine_cfg)
    ranges.check("task", task_cfg, its.ranges)
    ranges.check("engine", engine_cfg, ranges.ENGINES)


def make(
    task_cfg: Any,
    engine_cfg: Any,
    num_envs: int,
    device: torch.device,
    seed: int,
    num_agents: int = 1,
) -> VecEnv:
    """Build the environments of a run.

    Args:
        task_cfg: a task schema, filled; its `kind` names the family.
        engine_cfg: an engine schema, filled; tasks without physics ignore it.
        num_envs: N, environments.
        device: where all tensors live.
        seed: of everything random in the task.
        num_agents: K; env i belongs to agent i // (N / K).

    Raises:
        ValueError: at an unknown family or engine, or an impossible setting.
    """
    import torch

    task_cfg, engine_cfg = (
        OmegaConf.to_object(cfg) if OmegaConf.is_config(cfg) else cfg
        for cfg in (task_cfg, engine_cfg)
    )
    its = of(task_cfg)
    check(task_cfg, engine_cfg)
    engine_cfg = copy.copy(engine_cfg)
    its.choose_engine(task_cfg, engine_cfg, str(device))
    return its.make(task_cfg, engine_cfg, num_envs, torch.device(device), seed, num_agents)


def _load(kind: str, target: str) -> Family:
    """Import `package.module:name`.

    Raises:
        ValueError: if that fails, or it is no `Family`.
    """
    module, _, name = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # of foreign code
        refuse("task.kind", kind, f"{target} cannot be imported ({describe(error)})")
    if not isinstance(found, Family):
        refuse("task.kind", kind, f"{target} is {type(found).__name__}, no tasks.family.Family")
    return found
