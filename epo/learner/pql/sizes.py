"""Sizes that depend on the run: the batch of an update, the capacity of the replay buffer."""

from __future__ import annotations

from typing import List, NamedTuple, Tuple

import torch

from epo.config import ConfigError, PqlCfg
from epo.envs import EnvSpec
from epo.learner.pql.replay import bytes_per_transition
from epo.memory import free_bytes

PUBLISHED_BATCH = 8192
PUBLISHED_CAPACITY = 5_000_000
PUBLISHED_ENVS = 4096
MIN_BATCH = 256
MIN_CAPACITY = 1_000_000
"""Of `auto`: with few environments, 1,220 control steps are too little experience."""
DTYPES = {"float32": torch.float32, "float16": torch.float16}
SHARE_OF_AUTO = 0.5
"""Share of the free memory that an automatic capacity takes."""
SHARE_AT_MOST = 0.9
"""Share of the free memory that the buffer may take: networks and batches need the rest."""


class Sizes(NamedTuple):
    """Sizes of one run.

    Attributes:
        batch_size: B, transitions per update.
        capacity: of the replay buffer, transitions.
        dtype: of stored observations.
        choices: a line for every `auto`, for the user.
    """

    batch_size: int
    capacity: int
    dtype: torch.dtype
    choices: Tuple[str, ...]


def choose_sizes(cfg: PqlCfg, spec: EnvSpec, device: torch.device) -> Sizes:
    """Replace `auto` and check that the replay buffer fits, before anything is allocated.

    Raises:
        ConfigError: if the buffer does not fit into the memory, or N transitions not into it.
    """
    choices: List[str] = []
    batch_size = cfg.batch_size
    if batch_size == "auto":
        batch_size = auto_batch_size(spec.num_envs)
        uses = cfg.critic_updates * batch_size / spec.num_envs
        choices.append(f"algo.pql.batch_size={batch_size} (auto: {uses:.3g} uses per transition)")
    dtype = DTYPES[cfg.replay_dtype]
    each = bytes_per_transition(spec.observation_dim, spec.action_dim, dtype)
    free = free_bytes(device)
    capacity = cfg.replay_capacity
    if capacity == "auto":
        capacity = auto_capacity(spec.num_envs, int(SHARE_OF_AUTO * free) // each)
        choices.append(
            f"algo.pql.replay_capacity={capacity} (auto: {_gb(capacity * each)} of "
            f"{_gb(free)} free on {device.type})"
        )
    _check_capacity(capacity, dtype, spec, device, free)
    return Sizes(batch_size, capacity, dtype, tuple(choices))


def auto_batch_size(num_envs: int) -> int:
    """Return the batch size that keeps the published number of uses of a transition."""
    return min(PUBLISHED_BATCH, max(MIN_BATCH, PUBLISHED_BATCH * num_envs // PUBLISHED_ENVS))


def auto_capacity(num_envs: int, most: int) -> int:
    """Return the capacity for the published history of control steps, at most `most`.

    It is at least N, whatever `most` is: whether that fits is another question.
    """
    wanted = max(MIN_CAPACITY, PUBLISHED_CAPACITY * num_envs // PUBLISHED_ENVS)
    return max(num_envs, min(wanted, PUBLISHED_CAPACITY, most))


def _check_capacity(
    capacity: int, dtype: torch.dtype, spec: EnvSpec, device: torch.device, free: int
) -> None:
    """Refuse a buffer that is too large for the memory or too small for one control step."""
    each = bytes_per_transition(spec.observation_dim, spec.action_dim, dtype)
    fits = int(SHARE_AT_MOST * free) // each
    if capacity > fits:
        way_out = f"use at most {fits}" if fits >= spec.num_envs else "use a smaller num_envs"
        if dtype == torch.float32:
            way_out += ", or algo.pql.replay_dtype=float16"
        raise ConfigError(
            "algo.pql.replay_capacity",
            capacity,
            f"takes {_gb(capacity * each)}, {device.type} has {_gb(free)} free; {way_out}",
        )
    if capacity < spec.num_envs:
        raise ConfigError(
            "algo.pql.replay_capacity",
            capacity,
            f"one control step brings more; use at least num_envs={spec.num_envs}",
        )


def _gb(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.3g} GB"
