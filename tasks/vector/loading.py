"""From `task.make` to environments: import the function, call it, tell in one line what failed."""

from __future__ import annotations

import importlib
import inspect
import sys
from typing import Any, Callable, Dict

import torch

from tasks.errors import check_choice, describe, refuse
from tasks.vector.config import VectorCfg


def build(cfg: VectorCfg, num_envs: int, device: torch.device, seed: int) -> Any:
    """Call the function that `task.make` names.

    Args:
        cfg: checked settings.
        num_envs: N.
        device: where all tensors live; the function gets its name.
        seed: of everything random.

    Returns:
        Whatever it returns.

    Raises:
        ValueError: if it cannot be imported or called, with the reason and the way out.
    """
    function = load(cfg.make)
    offered = {"num_envs": num_envs, "device": str(device), "seed": seed}
    if cfg.id is not None:
        offered["id"] = cfg.id
    arguments = {**_accepted(function, offered), **cfg.kwargs}
    try:
        env = function(**arguments)
    except ValueError as error:  # the function's own word on a setting
        raise ValueError(f"task.make={cfg.make}: {describe(error)}") from error
    except Exception as error:
        refuse("task.make", cfg.make, f"it raises {describe(error)}; it got {_named(arguments)}")
    if env is None:
        refuse("task.make", cfg.make, "it returns nothing; let it return the environments")
    return env


def load(target: str) -> Callable[..., Any]:
    """Import `package.module:function`.

    Raises:
        ValueError: if there is none, with the nearest name.
    """
    module_name, _, name = target.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            refuse("task.make", target, f"it cannot be imported ({describe(error)}); install it")
        way_out = f"there is no module {error.name}; install it, or begin with PYTHONPATH=<folder>"
        refuse("task.make", target, way_out)
    except Exception as error:
        refuse("task.make", target, f"it cannot be imported ({describe(error)})")
    names = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
    if name not in names:
        check_choice("task.make", name, names or ["(no functions there)"])
    return getattr(module, name)


def _accepted(function: Callable[..., Any], offered: Dict[str, Any]) -> Dict[str, Any]:
    """Return the arguments that a function takes by name."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # of C
        return offered
    # `**kwargs` is no sign of taking any of them: most hand these on to someone else.
    by_name = {p.name for p in parameters if p.kind is not p.POSITIONAL_ONLY}
    return {name: value for name, value in offered.items() if name in by_name}


def _named(arguments: Dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items()) or "no arguments"


def version_of(package: str) -> str:
    """Return the version of an imported package, as far as it tells."""
    return str(getattr(sys.modules.get(package), "__version__", ""))
