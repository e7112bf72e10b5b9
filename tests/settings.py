"""Every setting there is: those of all tasks, engines and algorithms."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, Dict, Set

from epo.config import SCHEMAS, AlgoCfg, Config
from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.classic.config import SCHEMAS as CLASSIC
from tasks.engines.config import AutoCfg, IsaacGymCfg, MujocoCfg, MujocoWarpCfg
from tasks.gymnasium.config import GymnasiumCfg
from tasks.mujoco.config import ArmReachCfg
from tasks.probes.config import ProbeCfg
from tasks.vector.config import VectorCfg

TASKS = (AllegroKukaCfg, ArmReachCfg, GymnasiumCfg, ProbeCfg, VectorCfg, *CLASSIC)
ENGINES = (AutoCfg, IsaacGymCfg, MujocoCfg, MujocoWarpCfg)


def flat(node: Any, prefix: str = "") -> Dict[str, Any]:
    """Return every setting below `node` by its dotted name."""
    settings: Dict[str, Any] = {}
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if dataclasses.is_dataclass(value):
            settings.update(flat(value, f"{prefix}{field.name}."))
        else:
            settings[f"{prefix}{field.name}"] = value
    return settings


def is_numeric(hint: Any) -> bool:
    """Tell whether a type is that of numbers, or of lists of them, None or not."""
    inner = [item for item in typing.get_args(hint) if item is not type(None)]
    return hint in (int, float) or (bool(inner) and all(is_numeric(item) for item in inner))


def every_number() -> Set[str]:
    """Name every setting of every task, engine and algorithm whose type is a number's."""
    roots = [("", Config(algo=AlgoCfg(name="ppo")))]
    roots += [("algo.", schema(name="ppo")) for schema in SCHEMAS.values()]
    roots += [("task.", schema()) for schema in TASKS] + [("engine.", s()) for s in ENGINES]
    found: Set[str] = set()

    def collect(prefix: str, node: Any) -> None:
        hints = typing.get_type_hints(type(node))
        for field in dataclasses.fields(node):
            value = getattr(node, field.name)
            if dataclasses.is_dataclass(value):
                collect(f"{prefix}{field.name}.", value)
            elif is_numeric(hints[field.name]):
                found.add(f"{prefix}{field.name}")

    for prefix, node in roots:
        collect(prefix, node)
    return found


def every_setting() -> Dict[str, Any]:
    """Return the default of every setting of every task, engine and algorithm."""
    settings = flat(Config(algo=AlgoCfg(name="ppo")))
    for schema in SCHEMAS.values():
        settings.update(flat(schema(name="ppo"), "algo."))
    for group, schemas in (("task", TASKS), ("engine", ENGINES)):
        del settings[group]
        for schema in schemas:
            settings.update(flat(schema(), f"{group}."))
    return settings
