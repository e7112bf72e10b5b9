"""Recognise how an environment is spoken to, and put it behind the `VecEnv` contract."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Callable, Dict, cast

import torch

from epo.contract import ContractError, check_env
from epo.envs import EnvSpec, VecEnv
from tasks.errors import describe, refuse
from tasks.vector.clocked import ClockedBatchedEnv
from tasks.vector.config import VectorCfg
from tasks.vector.dialect import ClockedDialect, Dialect
from tasks.vector.env import BatchedEnv
from tasks.vector.gymnasium import GymnasiumDialect
from tasks.vector.manager import ManagerDialect

DIALECTS: Dict[str, Callable[..., Dialect]] = {
    "gymnasium": GymnasiumDialect,
    "manager": ManagerDialect,
}
"""`task.api` -> how such environments are reset and stepped."""
OFFERED = {
    "vecenv": ("spec", "device", "reset", "step", "state_dict"),
    "gymnasium": ("num_envs", "single_action_space", "reset", "step"),
    "manager": ("num_envs", "episode_length_buf", "single_action_space", "reset", "step"),
}
"""What an environment of each API offers at least."""


def checked(env: Any, cfg: VectorCfg, num_envs: int, device: torch.device, seed: int) -> VecEnv:
    """Adapt an environment, as `adapt`, and check that it keeps the contract; else close it.

    Raises:
        ValueError: in one line, whatever the environment does.
    """
    try:
        adapted = adapt(env, cfg, num_envs, device, seed)
        check_env(adapted)
    except BaseException as error:
        close = getattr(env, "close", None)
        with suppress(Exception):
            close() if callable(close) else None
        if isinstance(error, ContractError) or _is_ours(error):
            raise
        if isinstance(error, Exception):
            refuse("task.make", cfg.make, f"its environments fail at the start: {describe(error)}")
        raise
    return adapted


def adapt(env: Any, cfg: VectorCfg, num_envs: int, device: torch.device, seed: int) -> VecEnv:
    """Return `env` as a `VecEnv`; one that is already is returned as it is.

    Args:
        env: what `task.make` returned.
        cfg: checked settings.
        num_envs: N, as the run expects it.
        device: where all tensors live.
        seed: of the first reset.

    Raises:
        ValueError: if it is of no known API, or does not fit the run.
    """
    api = recognise(env, cfg)
    unwrapped = env if api == "vecenv" else getattr(env, "unwrapped", env)
    missing = [n for n in OFFERED[api] if not (hasattr(env, n) or hasattr(unwrapped, n))]
    if missing:
        refuse("task.api", api, f"{_kind(env)} has no {', '.join(missing)}; use another api")
    found = env.spec.num_envs if api == "vecenv" else env.num_envs
    if found != num_envs:
        way_out = f"{cfg.make} built {found}; let it take `num_envs`, or use num_envs={found}"
        refuse("num_envs", num_envs, way_out)
    if api == "vecenv":
        return env
    dialect = DIALECTS[api](env, cfg, num_envs, device, seed)
    if api == "manager" and hasattr(unwrapped, "max_episode_length"):
        return ClockedBatchedEnv(cast(ClockedDialect, dialect), cfg)
    return BatchedEnv(dialect, cfg)


def recognise(env: Any, cfg: VectorCfg) -> str:
    """Return the API of an environment: the one of the settings, or else by what it offers.

    Raises:
        ValueError: if it offers too little.
    """
    if cfg.api != "auto":
        return cfg.api
    if isinstance(getattr(env, "spec", None), EnvSpec):
        return "vecenv"
    unwrapped = getattr(env, "unwrapped", env)
    if hasattr(unwrapped, "episode_length_buf"):
        return "manager"
    if all(hasattr(env, name) for name in OFFERED["gymnasium"]):
        return "gymnasium"
    way_out = f"it returns a {_kind(env)}, which does not step environments at once: it has no "
    way_out += ", ".join(name for name in OFFERED["gymnasium"] if not hasattr(env, name))
    return refuse("task.make", cfg.make, f"{way_out}; a single one: task=Gymnasium")


def _is_ours(error: BaseException) -> bool:
    """Return whether a refusal names a setting already."""
    return isinstance(error, ValueError) and str(error).startswith(("task.", "num_envs="))


def _kind(env: Any) -> str:
    return f"{type(env).__module__}.{type(env).__qualname__}"
