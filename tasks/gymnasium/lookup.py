"""An environment looked up by its id, or refused in one line."""

from __future__ import annotations

import difflib
import importlib
import os
import sys

import gymnasium
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import Error

from tasks.errors import describe, refuse
from tasks.gymnasium.config import GymnasiumCfg
from tasks.gymnasium.guard import IMPORT, FailedError, Guard

_LIST = 'python -c "import gymnasium; gymnasium.pprint_registry()" lists them'


def find_spec(cfg: GymnasiumCfg) -> EnvSpec:
    """Look up an environment; `package:Name-v0` imports `package`, which registers it.

    Raises:
        ValueError: if there is none of that name, or the package cannot be imported.
    """
    package, _, name = cfg.env_id.rpartition(":")
    if package and sys.modules.get(package) is None:
        _import(cfg, package)
    try:
        return gymnasium.spec(name)
    except Error as error:
        way_out = f"{reason(error)}; {_LIST}"
        near = difflib.get_close_matches(name, gymnasium.registry, n=1)
        if name.startswith("ALE/"):
            way_out = f"Atari needs 'pip install ale-py' and task.env_id=ale_py:{name}"
        elif near:
            way_out = f"there is no such environment, did you mean {near[0]}? {_LIST}"
        refuse("task.env_id", cfg.env_id, way_out)


def reason(error: BaseException) -> str:
    """Return the first line of a message, without what Gymnasium appends to it."""
    return str(error).partition("\n")[0].partition(" was raised from ")[0].rstrip(".")


def _import(cfg: GymnasiumCfg, package: str) -> None:
    """Import a package from where modules are found, or else from the current folder."""
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)  # workers get it as well; last, it hides nothing
    try:
        with Guard(cfg)(IMPORT):
            importlib.import_module(package)
    except FailedError as error:
        cause = error.__cause__
        text = str(error) if cause is None else describe(cause)
        missing = cause.name if isinstance(cause, ModuleNotFoundError) else None
        if missing and f"{package}.".startswith(f"{missing}."):
            where = f"; install it, or run where its file lies (now {here}), or set PYTHONPATH"
            text = f"there is no module {missing}{where}"
        elif isinstance(cause, ImportError):
            text += "; install what it needs"
        refuse("task.env_id", cfg.env_id, f"cannot import {package}: {text}")
