"""An environment looked up by its id, or refused in one line."""

from __future__ import annotations

import difflib
import importlib

import gymnasium
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import Error

from tasks.errors import refuse

_LIST = 'python -c "import gymnasium; gymnasium.pprint_registry()" lists them'


def find_spec(env_id: str) -> EnvSpec:
    """Look up an environment; `package:Name-v0` imports `package`, which registers it.

    Raises:
        ValueError: if there is none of that name.
    """
    package, _, name = env_id.rpartition(":")
    if package:
        try:
            importlib.import_module(package)
        except ImportError as error:
            refuse("task.env_id", env_id, f"cannot import {package} ({error}); install it")
    try:
        return gymnasium.spec(name)
    except Error as error:
        way_out = f"{reason(error)}; {_LIST}"
        near = difflib.get_close_matches(name, gymnasium.registry, n=1)
        if name.startswith("ALE/"):
            way_out = f"Atari needs 'pip install ale-py' and task.env_id=ale_py:{name}"
        elif near:
            way_out = f"there is no such environment, did you mean {near[0]}? {_LIST}"
        refuse("task.env_id", env_id, way_out)


def reason(error: Exception) -> str:
    """Give the first line of a message, without what Gymnasium appends to it."""
    return str(error).partition("\n")[0].partition(" was raised from ")[0].rstrip(".")
