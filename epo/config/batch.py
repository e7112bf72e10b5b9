"""How many sequences an update learns from, and whether they fill equal minibatches."""

from __future__ import annotations

from typing import Tuple

from epo.config import AggregationCfg, AlgoCfg, Config, ConfigError
from epo.config.pbt import is_files


def num_copies(num_agents: int, cfg: AggregationCfg) -> int:
    """Return the blocks of off-policy data per learning agent, min(K - 1, int(ratio))."""
    return 0 if cfg.mode == "none" else min(num_agents - 1, int(cfg.ratio))


def num_sequences(algo: AlgoCfg, num_envs: int, num_agents: int) -> int:
    """Return S, the sequences of one update: N own ones and the relabelled copies.

    Args:
        algo: aggregation.
        num_envs: N.
        num_agents: K, agents of one network.
    """
    copies = num_copies(num_agents, algo.aggregation)
    learners = num_agents if algo.aggregation.mode == "symmetric" else 1
    return num_envs + copies * learners * (num_envs // num_agents)


def nearest_divisors(number: int, wanted: int) -> Tuple[int, ...]:
    """Return the largest divisor up to `wanted` and the least above it, at most `number`."""
    divisors = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    divisors += [number // d for d in divisors]
    below = max(d for d in divisors if d <= wanted)
    above = [d for d in divisors if d > wanted]
    return (below, min(above)) if above else (below,)


def num_agents_of(cfg: Config) -> int:
    """Return K, the algorithm's own number for `auto`."""
    own = 1 if is_files(cfg.algo) else cfg.algo.num_agents
    return own if cfg.num_agents == "auto" else cfg.num_agents


def check_minibatches(cfg: Config) -> None:
    """Check the minibatches of the agents that a configuration trains, as `check_batch`."""
    check_batch(cfg, num_agents_of(cfg))


def check_batch(cfg: Config, num_agents: int) -> None:
    """Check that minibatches are whole sequences, fit into the batch and fill it.

    Args:
        cfg: of the run.
        num_agents: K; with PBT the members, each of which learns from its own block.

    Raises:
        ConfigError: if they do not.
    """
    algo, ppo = cfg.algo, cfg.algo.ppo
    size = ppo.minibatch_size
    if size is not None and size % ppo.horizon:
        raise ConfigError(
            "algo.ppo.minibatch_size",
            size,
            f"sequences stay whole; use a multiple of algo.ppo.horizon={ppo.horizon}",
        )
    if cfg.num_envs == "auto":
        return
    is_pbt = algo.trainer == "pbt"
    num_envs = cfg.num_envs // num_agents if is_pbt else cfg.num_envs
    if num_envs * ppo.horizon < 2:
        way_out = "a batch of one sample has no spread; use at least 2, or more num_envs"
        raise ConfigError("algo.ppo.horizon", ppo.horizon, way_out)
    if size is not None:
        sequences = num_sequences(algo, num_envs, 1 if is_pbt else num_agents)
        _check_size(size, ppo.horizon, num_envs, sequences, is_pbt)
    elif ppo.num_minibatches > num_envs:
        way_out = f"more than there are sequences; use at most num_envs={num_envs}"
        if is_pbt:
            way_out = f"a member has {num_envs} environments; use at most as many"
        raise ConfigError("algo.ppo.num_minibatches", ppo.num_minibatches, way_out)


def _check_size(size: int, horizon: int, num_envs: int, sequences: int, is_pbt: bool) -> None:
    """Check a size in samples: the last minibatch must not be another size than the others."""
    if size > sequences * horizon:
        reason = f"a member has {num_envs} environments" if is_pbt else "larger than the batch"
        way_out = f"{reason}; use at most {sequences * horizon}"
        raise ConfigError("algo.ppo.minibatch_size", size, way_out)
    per_minibatch = size // horizon
    if sequences % per_minibatch == 0:
        return
    fitting = [d * horizon for d in nearest_divisors(sequences, per_minibatch)]
    copies = sequences - num_envs
    of_what = f"{num_envs} environments" + (f" and {copies} copies for others" if copies else "")
    raise ConfigError(
        "algo.ppo.minibatch_size",
        size,
        f"does not divide the batch of {sequences * horizon} samples ({of_what}, {horizon} steps "
        f"each); use {' or '.join(map(str, fitting))}",
    )
