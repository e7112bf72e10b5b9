"""Parallel Q-learning (PQL, arXiv 2307.12983): `algo.trainer=pql`.

`P` in a source means the paper or the configuration in its repository, `R` our own choice, argued
in the same line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, List

from epo.config.error import ConfigError

if TYPE_CHECKING:
    from epo.config import AlgoCfg, Config


@dataclass
class PqlCfg:
    """Deterministic policy gradient with two critics, in one process; widths: `algo.network`."""

    critic: str = "double"
    """`double`: the lesser of two values (P); `distributional`: of two C51 distributions (P)."""
    horizon: int = 16
    """Control steps per iteration, the unit of recording (R: numbers of every step are noise);
    learning happens after every single step (P)."""
    batch_size: Any = "auto"
    """Transitions per update; `auto`: 8,192 (P), for less than 4,096 environments as many as keep
    the published 16 uses of a transition, at least 256 (R)."""
    critic_updates: float = 8.0
    """Critic updates per control step of all environments (P)."""
    actor_updates: float = 0.5
    """Actor updates per critic update (P)."""
    warmup_steps: int = 32
    """First control steps, with random actions and without updates (P)."""
    n_step: int = 3
    """Rewards that are summed up before the critic's estimate takes over (P)."""
    gamma: float = 0.99
    """Discount per control step (P)."""
    target_rate: float = 0.05
    """tau, share of the critic that moves into the target critic after every critic update (P)."""
    learning_rate: float = 5e-4
    """Step size of AdamW, for the actor and the critic (P)."""
    weight_decay: float = 0.01
    """Weight decay of AdamW (P: torch's default)."""
    max_grad_norm: float = 0.5
    """Bound of the gradient norm of the actor and of the critic (P)."""
    reward_scale: float = 0.01
    """Factor from task units to learning units (P: 0.01 for Ant, Humanoid and the hands, 0.1 for
    cube stacking and ball balancing, 1 for ANYmal)."""
    exploration: str = "mixed"
    """Spread of the action noise: `mixed`, from min_sigma in the first environment to max_sigma in
    the last (P); the same everywhere: `constant` at max_sigma, or from max_sigma to min_sigma
    within decay_steps, `linear` or `exponential`."""
    min_sigma: float = 0.05
    """Least standard deviation of the action noise (P)."""
    max_sigma: float = 0.8
    """Greatest standard deviation of the action noise (P)."""
    decay_steps: int = 10_000
    """Control steps of the decay (P for `linear`)."""
    target_sigma: float = 0.8
    """Standard deviation of the noise on the actions that targets are computed with (P)."""
    target_noise_bound: float = 0.2
    """Bound of that noise (P)."""
    num_atoms: int = 51
    """Atoms of a value distribution (P)."""
    value_range: List[float] = field(default_factory=lambda: [-10.0, 10.0])
    """First and last atom, scaled rewards (P); the columns q/edge_low and q/edge_high say how much
    of the targets' mass lies there or beyond."""
    distributional_loss: str = "argmin_ce"
    """`argmin_ce`: cross entropy to the distribution of lesser mean (R: a distribution);
    `elementwise_min_bce`: binary cross entropy to the elementwise minimum, of mass <= 1 (P)."""
    replay_capacity: Any = "auto"
    """Transitions kept; `auto`: 1,220 control steps (P: 5e6 of 4,096 environments), at least 1e6
    and at most 5e6 transitions (R, P), in at most half of the free memory of the device."""
    replay_dtype: str = "float32"
    """Precision of stored observations: `float32` (P) or `float16`, half the memory (R)."""
    save_replay: bool = False
    """Whether checkpoints hold the replay buffer: a resumed run then equals an uninterrupted one;
    without, it first collects warmup_steps control steps again (R: gigabytes per checkpoint)."""
    policy_lag: int = 0
    """Control steps for which a copy of the policy acts and forms targets before it is renewed,
    0: no copy (R: an ablation of the published processes, which see each other late)."""


def check_pql(cfg: Config) -> None:
    """Refuse what Q-learning cannot be combined with, and settings that do not fit together.

    Raises:
        ConfigError: at the first of them.
    """
    algo = cfg.algo
    if algo.network.kind != "mlp":
        raise ConfigError("algo.network.kind", algo.network.kind, "Q-learning needs mlp")
    for name, value, off in (
        ("evolution.enabled", algo.evolution.enabled, False),
        ("aggregation.mode", algo.aggregation.mode, "none"),
    ):
        if value != off:
            way_out = f"algo.trainer=pql has no population; use {str(off).lower()}"
            raise ConfigError(f"algo.{name}", value, way_out)
    _check_numbers(pql_of(algo))


def pql_of(algo: AlgoCfg) -> PqlCfg:
    """Return `algo.pql`, which only `algo.trainer=pql` has."""
    return vars(algo)["pql"]


def _check_numbers(pql: PqlCfg) -> None:
    for name in ("batch_size", "replay_capacity"):
        value = getattr(pql, name)
        if value != "auto" and (type(value) is not int or value < 1):
            raise ConfigError(
                f"algo.pql.{name}", value, "use a whole number of at least 1, or auto"
            )
    if pql.max_sigma < pql.min_sigma:
        raise ConfigError(
            "algo.pql.max_sigma", pql.max_sigma, f"use at least min_sigma={pql.min_sigma}"
        )
    if pql.exploration == "exponential" and not pql.min_sigma:
        raise ConfigError(
            "algo.pql.min_sigma", pql.min_sigma, "an exponential decay never ends; use more than 0"
        )
    edges = pql.value_range
    if len(edges) != 2 or not all(map(math.isfinite, edges)) or not edges[0] < edges[1]:
        raise ConfigError(
            "algo.pql.value_range", edges, "give the first and a greater last atom, as [-10,10]"
        )
    if pql.num_atoms < 2:
        raise ConfigError("algo.pql.num_atoms", pql.num_atoms, "use at least 2")
