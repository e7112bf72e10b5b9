"""Every setting there is: those of all tasks, engines and algorithms."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict

import tasks.config
from epo.config import AlgoCfg, Config
from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.engines.config import AutoCfg, IsaacGymCfg, MujocoCfg, MujocoWarpCfg
from tasks.gymnasium.config import GymnasiumCfg

TASKS = (AllegroKukaCfg, GymnasiumCfg, tasks.config.ProbeCfg)
ENGINES = (AutoCfg, IsaacGymCfg, MujocoCfg, MujocoWarpCfg)


def flat(node: Any, prefix: str = "") -> Dict[str, Any]:
    """Give every setting below `node` by its dotted name."""
    settings: Dict[str, Any] = {}
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if dataclasses.is_dataclass(value):
            settings.update(flat(value, f"{prefix}{field.name}."))
        else:
            settings[f"{prefix}{field.name}"] = value
    return settings


def every_setting() -> Dict[str, Any]:
    """Give the default of every setting of every task, engine and algorithm."""
    settings = flat(Config(algo=AlgoCfg(name="ppo")))
    for group, schemas in (("task", TASKS), ("engine", ENGINES)):
        del settings[group]
        for schema in schemas:
            settings.update(flat(schema(), f"{group}."))
    return settings
