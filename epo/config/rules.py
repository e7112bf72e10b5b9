"""What a single setting must fulfil, in tables of dotted names; relations are in `validation`."""

from __future__ import annotations

import math
from typing import Any, Dict, Mapping, NamedTuple

from epo.config.diagnostics import HealthCfg

HEALTH = tuple(
    f"record.health.{name}"
    for name in vars(HealthCfg())
    if name not in ("enabled", "solved_return")
)
"""Thresholds of the health rules."""

CHOICES = {
    "algo.network.critic": ("shared", "separate", "asymmetric"),
    "algo.network.encoder": ("none", "cnn"),
    "algo.network.kind": ("lstm", "mlp"),
    "algo.normalizer.timing": ("iteration", "minibatch", "absorbed"),
    "algo.ppo.schedule": ("adaptive", "fixed"),
    "algo.aggregation.mode": ("none", "leader_follower", "symmetric"),
    "algo.aggregation.sampling": ("block", "uniform", "stratified"),
    "algo.aggregation.hidden": ("unroll", "stored"),
    "algo.aggregation.kl_reference": ("leader", "follower", "exclude"),
    "algo.aggregation.clip_center": ("one", "mu"),
    "algo.clip.entropy_floor": ("sigma", "zero"),
    "algo.clip.change": ("std", "relative"),
    "algo.clip.plateau": ("tanh", "inverse", "exponential", "improvement"),
    "algo.penalty.kind": ("none", "fixed", "adaptive"),
    "algo.poem.when": ("update", "minibatch"),
    "algo.poem.noise": ("relative", "absolute"),
    "algo.poem.tensors": ("policy", "all"),
    "algo.poem.acceptance": ("loss", "always", "never"),
    "algo.pbt.backend": ("process", "files"),
    "algo.pql.critic": ("double", "distributional"),
    "algo.pql.exploration": ("mixed", "constant", "linear", "exponential"),
    "algo.pql.distributional_loss": ("argmin_ce", "elementwise_min_bce"),
    "algo.pql.replay_dtype": ("float32", "float16"),
    "guard.on_nonfinite": ("stop", "skip"),
    "precision": ("auto", "fp32", "bf16"),
    "record.console": ("auto", "live", "plain", "off"),
    "record.wandb": ("disabled", "offline", "online"),
}
AT_LEAST_ONE = (
    "max_frames",
    "max_iterations",
    "algo.num_agents",
    "algo.network.lstm_units",
    "algo.network.gene_dim",
    "algo.ppo.decay_frames",
    "algo.ppo.horizon",
    "algo.ppo.num_epochs",
    "algo.ppo.num_minibatches",
    "algo.ppo.minibatch_size",
    "algo.ppo.learning_rate_factor",
    "algo.clip.decay_frames",
    "algo.clip.window",
    "algo.poem.probe_states",
    "algo.diagnostics.probe_states",
    "algo.diagnostics.quantile_samples",
    "algo.pbt.interval_frames",
    "algo.pbt.num_members",
    "algo.pql.horizon",
    "algo.pql.n_step",
    "algo.pql.num_atoms",
    "algo.pql.decay_steps",
    "guard.max_skipped",
    "record.checkpoint_interval",
    "record.eval_episodes",
    "record.health.window",
    "record.health.sustained",
    "record.health.sustained_of",
    "record.health.repeat_updates",
)
POSITIVE = (
    "max_minutes",
    "guard.rank_timeout_s",
    "algo.normalizer.clip",
    "algo.ppo.clip_eps",
    "algo.ppo.learning_rate",
    "algo.ppo.kl_target",
    "algo.ppo.min_learning_rate",
    "algo.ppo.max_learning_rate",
    "algo.ppo.max_grad_norm",
    "algo.ppo.reward_scale",
    "algo.ppo.adam_eps",
    "algo.aggregation.max_importance",
    "algo.cpo.awac.temperature",
    "algo.cpo.awac.max_weight",
    "algo.cpo.adversary.learning_rate",
    "algo.clip.floor_std",
    "algo.penalty.kl_target",
    "algo.penalty.min_coef",
    "algo.penalty.max_coef",
    "algo.poem.max_kl",
    "algo.pbt.worst_fraction",
    "algo.pbt.best_fraction",
    "algo.pbt.min_factor",
    "algo.pbt.max_factor",
    "algo.pql.critic_updates",
    "algo.pql.actor_updates",
    "algo.pql.learning_rate",
    "algo.pql.max_grad_norm",
    "algo.pql.reward_scale",
)
NOT_NEGATIVE = (
    "seed",
    "algo.ppo.value_coef",
    "algo.ppo.entropy_coef",
    "algo.ppo.bounds_coef",
    "algo.ppo.soft_bound",
    "algo.aggregation.ratio",
    "algo.aggregation.entropy_scale",
    "algo.aggregation.leader_weight",
    "algo.aggregation.follower_kl_coef",
    "algo.cpo.lambda_kl",
    "algo.cpo.awac.beta",
    "algo.cpo.adversary.coef",
    "algo.clip.expansion",
    "algo.penalty.coef",
    "algo.penalty.hinge_coef",
    "algo.poem.kl_threshold",
    "algo.poem.min_sigma",
    "algo.poem.max_sigma",
    "algo.poem.diversity_coef",
    "algo.poem.warmup_updates",
    "algo.pbt.start_after_frames",
    "algo.pbt.initial_delay_frames",
    "algo.pbt.copy_std",
    "algo.pbt.copy_relative",
    "algo.pql.warmup_steps",
    "algo.pql.weight_decay",
    "algo.pql.min_sigma",
    "algo.pql.max_sigma",
    "algo.pql.target_sigma",
    "algo.pql.target_noise_bound",
    "algo.pql.policy_lag",
    "guard.max_rollout_mb",
    "record.console_interval_s",
    "record.eval_interval",
    *HEALTH,
)
UNIT_INTERVAL = (
    "algo.ppo.gamma",
    "algo.ppo.gae_lambda",
    "algo.clip.decay_to",
    "algo.clip.contraction",
    "algo.clip.smoothing",
    "algo.poem.ema_decay",
    "algo.diagnostics.ema_decay",
    "algo.pbt.worst_fraction",
    "algo.pbt.best_fraction",
    "algo.pbt.mutation_rate",
    "algo.pql.gamma",
    "algo.pql.target_rate",
)

LARGEST_COUNT = 10**15
"""Of frames and updates: exact as a float, and more than anybody can run."""
LARGEST_SIZE = 10**6
"""Of what memory is taken for: windows, widths, horizons, passes."""
LARGEST, SMALLEST = 1e30, 1e-30
"""Of other numbers: float32 ends at 3e38 and 1e-38, and products of two must fit."""


class Range(NamedTuple):
    """What a number may be.

    Attributes:
        least, most: both included.
        way_out: what to say below the least, and of NaN.
    """

    least: float
    most: float
    way_out: str

    def complaint(self, value: Any) -> str:
        """Return what to use instead of a number, or of one in a list; empty if it is fine."""
        is_list = isinstance(value, (list, tuple))
        for number in value if is_list else [value]:
            if type(number) not in (int, float):
                if is_list:
                    return self.way_out
            elif number > self.most:
                names_both = " to " in self.way_out
                return self.way_out if names_both else f"use at most {self.most:g}"
            elif not number >= self.least:
                return self.way_out
        return ""


_WHOLE = "use a whole number of at least 1, or auto"
_COUNTS = (
    "max_frames",
    "max_iterations",
    "algo.clip.decay_frames",
    "algo.ppo.decay_frames",
    "algo.pbt.interval_frames",
    "algo.pql.decay_steps",
    "record.checkpoint_interval",
)
"""Numbers of at least 1 that no memory is taken for."""


def _ranges() -> Dict[str, Range]:
    """Return the range of every number below `Config` except those of tasks and engines."""
    found: Dict[str, Range] = {}
    for name in NOT_NEGATIVE:
        found[name] = Range(0, LARGEST, "use 0 or more")
    for name in POSITIVE:
        found[name] = Range(SMALLEST, LARGEST, "use a positive number")
    for name in UNIT_INTERVAL:
        least = SMALLEST if name in POSITIVE else 0
        found[name] = Range(least, 1, "use a number from 0 to 1")
    for name in AT_LEAST_ONE:
        most = LARGEST_COUNT if name in _COUNTS else LARGEST_SIZE
        found[name] = Range(1, most, "use at least 1")
    return {**found, **_OTHERS}


_OTHERS: Mapping[str, Range] = {
    "seed": Range(0, 2**53, "use 0 or more"),
    "num_agents": Range(1, LARGEST_SIZE, _WHOLE),
    "num_envs": Range(1, 10**8, _WHOLE),
    "algo.network.mlp_units": Range(1, LARGEST_SIZE, "give widths of at least 1"),
    "algo.network.cnn_channels": Range(1, LARGEST_SIZE, "give numbers of at least 1"),
    "algo.network.initial_log_std": Range(-50, 50, "use a number from -50 to 50"),
    "algo.network.gene_std": Range(0, 1000, "use a number from 0 to 1000"),
    "algo.network.noise_ladder": Range(-50, 50, "use a number from -50 to 50"),
    "algo.ppo.minibatch_size": Range(1, LARGEST_COUNT, "use at least 1"),
    "algo.cpo.awac.ratio": Range(1e-6, 1, "use a number from 0.000001 to 1"),
    "algo.cpo.adversary.mlp_units": Range(1, LARGEST_SIZE, "give widths of at least 1"),
    "algo.evolution.interval_frames": Range(1, LARGEST_COUNT, "use at least 1"),
    "algo.evolution.warmup_frames": Range(0, LARGEST_COUNT, "use 0 or more"),
    "algo.evolution.confidence": Range(1e-6, 1 - 1e-9, "use a number between 0 and 1"),
    "algo.evolution.gap_ratio": Range(0, LARGEST, "use 0 or more"),
    "algo.evolution.gap_floor": Range(0, LARGEST, "use 0 or more"),
    "algo.evolution.noise_guard": Range(0, LARGEST, "use 0 or more"),
    "algo.evolution.promotion_margin": Range(0, LARGEST, "use 0 or more"),
    "algo.evolution.num_elites": Range(0, LARGEST_SIZE, "use 0 or more"),
    "algo.evolution.num_replaced": Range(-1, LARGEST_SIZE, "use 0 (automatic) or more, or -1"),
    "algo.evolution.tournament_size": Range(1, LARGEST_SIZE, "use at least 1"),
    "algo.evolution.crossover_points": Range(1, LARGEST_SIZE, "use at least 1"),
    "algo.evolution.mutation_sigma": Range(0, LARGEST, "use 0 or more"),
    "algo.pbt.start_after_frames": Range(0, LARGEST_COUNT, "use 0 or more"),
    "algo.pbt.initial_delay_frames": Range(0, LARGEST_COUNT, "use 0 or more"),
    # Rounded up to whole members: smaller shares are none.
    "algo.pbt.worst_fraction": Range(1e-6, 1, "use a number from 0.000001 to 1"),
    "algo.pbt.best_fraction": Range(1e-6, 1, "use a number from 0.000001 to 1"),
    "algo.pbt.member": Range(0, LARGEST_SIZE, "use 0 or more"),
    # What is done once per control step takes time, not memory.
    "algo.pql.critic_updates": Range(1e-6, 10**4, "use a number from 0.000001 to 10000"),
    "algo.pql.actor_updates": Range(1e-6, 10**4, "use a number from 0.000001 to 10000"),
    "algo.pql.warmup_steps": Range(0, LARGEST_COUNT, "use 0 or more"),
    "algo.pql.policy_lag": Range(0, LARGEST_COUNT, "use 0 or more"),
    "algo.pql.batch_size": Range(1, 10**9, _WHOLE),
    "algo.pql.replay_capacity": Range(1, 10**12, _WHOLE),
    "algo.pql.value_range": Range(
        -LARGEST, LARGEST, "give the first and a greater last atom, as [-10,10]"
    ),
    "algo.pql.weight_decay": Range(0, 1e6, "use 0 or more"),
    "algo.pql.min_sigma": Range(0, 1e6, "use 0 or more"),
    "algo.pql.max_sigma": Range(0, 1e6, "use 0 or more"),
    "algo.pql.target_sigma": Range(0, 1e6, "use 0 or more"),
    "algo.pql.target_noise_bound": Range(0, 1e6, "use 0 or more"),
    "record.viewer_port": Range(1, 65535, "use a number from 1 to 65535"),
    "record.keep_last": Range(1, 10**4, "use at least 1"),
    "record.console_interval_s": Range(0, 1e9, "use 0 or more"),
    "record.health.solved_return": Range(-math.inf, math.inf, "give a number"),
    "max_minutes": Range(SMALLEST, 1e12, "use a positive number"),
    "guard.rank_timeout_s": Range(1.0, 1e6, "use a number of seconds from 1 to 1000000"),
    "algo.cpo.adversary.learning_rate": Range(SMALLEST, LARGEST, "use a positive number"),
}
"""Numbers whose range is their own."""
RANGES: Mapping[str, Range] = _ranges()
"""Range of every number, of one in a list, and where it is not `auto` or None."""
