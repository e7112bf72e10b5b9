"""rl_games' own PPO on our environments: `algo.trainer=rl_games`, a peer to compare with.

The tables say, for every setting of PPO, its network and its normalisers, what becomes of it:
`TRANSLATED` and `DERIVED` ones reach rl_games, `FIXED` ones are built into it, `UNUSED` ones have
no meaning for one agent that sees vectors. All of it was read in rl_games 1.6.5.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from functools import reduce
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Callable, Dict, NamedTuple

from epo.config.error import ConfigError
from epo.dotted import flat

if TYPE_CHECKING:
    from epo.config import AlgoCfg, Config

EXTRA = "pip install 'epo[rl-games]'"


@dataclass
class RlGamesCfg:
    """What rl_games alone knows; everything else is translated from our settings."""

    overrides: Dict[str, Any] = field(default_factory=dict)
    """Settings of rl_games' yaml below `params`, such as `overrides.config.use_smooth_clamp=true`;
    names: `OVERRIDABLE`."""


def _same(value: Any) -> Any:
    return value


class Translation(NamedTuple):
    """A setting that both know.

    Attributes:
        ours: name below `algo`.
        theirs: name below `params` of rl_games' yaml.
        convert: from our value to theirs.
    """

    ours: str
    theirs: str
    convert: Callable[[Any], Any] = _same


TRANSLATED = (
    Translation("ppo.horizon", "config.horizon_length"),
    Translation("ppo.horizon", "config.seq_length"),
    Translation("ppo.num_epochs", "config.mini_epochs"),
    Translation("ppo.gamma", "config.gamma"),
    Translation("ppo.gae_lambda", "config.tau"),
    Translation("ppo.bootstrap_truncated", "config.value_bootstrap", bool),
    Translation("ppo.clip_eps", "config.e_clip"),
    Translation("ppo.clip_value", "config.clip_value"),
    # It multiplies the squared error by another 1/2.
    Translation("ppo.value_coef", "config.critic_coef", lambda coef: 2.0 * coef),
    Translation("ppo.entropy_coef", "config.entropy_coef"),
    Translation("ppo.bounds_coef", "config.bounds_loss_coef"),
    Translation("ppo.learning_rate", "config.learning_rate"),
    Translation(
        "ppo.schedule", "config.lr_schedule", {"adaptive": "adaptive", "fixed": "constant"}.get
    ),
    Translation("ppo.kl_target", "config.kl_threshold"),
    Translation("ppo.max_grad_norm", "config.grad_norm"),
    Translation("ppo.reward_scale", "config.reward_shaper.scale_value"),
    Translation("normalizer.observation", "config.normalize_input"),
    Translation("normalizer.value", "config.normalize_value"),
    Translation("network.mlp_units", "network.mlp.units", list),
    Translation("network.lstm_units", "network.rnn.units"),
    Translation("network.initial_log_std", "network.space.continuous.sigma_init.val"),
)
DERIVED = {
    "ppo.num_minibatches": "config.minibatch_size",
    "ppo.minibatch_size": "config.minibatch_size",
    "network.kind": "network.rnn",
}
"""Settings below `algo` that decide a setting of rl_games together with others."""
FIXED: Dict[str, Any] = {
    "ppo.shuffle": False,
    "ppo.advantage": "gae",
    "ppo.quantities": [],
    "ppo.reward_terms": [],
    "hooks": [],
    "network.model": "actor_critic",
    "ppo.soft_bound": 1.1,
    "ppo.decay_frames": None,
    "ppo.learning_rate_factor": 1.5,
    "ppo.min_learning_rate": 1e-6,
    "ppo.max_learning_rate": 1e-2,
    "ppo.adam_eps": 1e-8,
    "normalizer.timing": "minibatch",
    "normalizer.clip": 5.0,
    "network.encoder": "none",
    "clip.kind": "constant",
    "clip.decay_frames": None,
    "penalty.kind": "none",
    "poem.enabled": False,
    "diagnostics.enabled": False,
    "aggregation.mode": "none",
    "evolution.enabled": False,
}
"""Settings below `algo` with the only value that rl_games can do."""
UNUSED = (
    *("network.gene_dim", "network.gene_std", "network.noise_ladder"),
    *("network.cnn_channels", "network.critic"),  # another critic is refused for all but ours
)
"""Settings below `algo` without a meaning for one agent that sees vectors."""
OVERRIDABLE = (
    "config.bound_loss_type",
    "config.freeze_critic",
    "config.mixed_precision",
    "config.normalize_advantage",
    "config.reward_shaper.max_val",
    "config.reward_shaper.min_val",
    "config.reward_shaper.shift_value",
    "config.schedule_type",
    "config.use_smooth_clamp",
    "config.weight_decay",
    "config.zero_rnn_on_done",
    "network.mlp.activation",
    "network.mlp.d2rl",
    "network.mlp.initializer",
    "network.rnn.before_mlp",
    "network.rnn.concat_input",
    "network.rnn.concat_output",
    "network.rnn.layer_norm",
    "network.rnn.layers",
    "network.rnn.name",
    "network.separate",
)
"""What `overrides` may set; rl_games itself ignores names that it does not know."""


def sequences_per_minibatch(algo: AlgoCfg, num_envs: int) -> int:
    """Return the whole sequences of `algo.ppo.horizon` steps in a minibatch."""
    ppo = algo.ppo
    if ppo.minibatch_size is not None:
        return ppo.minibatch_size // ppo.horizon
    return num_envs // ppo.num_minibatches


def check_rl_games(cfg: Config) -> None:
    """Refuse what rl_games cannot do, and to run without it.

    Raises:
        ConfigError: at the first of them.
    """
    check_translatable(cfg)
    if find_spec("rl_games") is None:
        raise ConfigError("algo.trainer", "rl_games", f"rl_games is not installed; {EXTRA}")


def check_translatable(cfg: Config) -> None:
    """Refuse what rl_games cannot do, and settings that it would silently get wrong.

    Raises:
        ConfigError: at the first of them.
    """
    for name, fixed in FIXED.items():
        value = reduce(getattr, name.split("."), cfg.algo)
        if value != fixed:
            shown = "null" if fixed is None else str(fixed).lower()
            way_out = f"rl_games has {shown} built in; use {shown}, or our own PPO, algo=ppo"
            raise ConfigError(f"algo.{name}", value, way_out)
    _check_overrides(cfg.algo)
    if cfg.num_envs != "auto":
        _check_minibatches(cfg.algo, int(cfg.num_envs))


def overrides_of(algo: AlgoCfg) -> Dict[str, Any]:
    """Return `algo.rl_games.overrides`, which only `algo.trainer=rl_games` has."""
    return vars(algo)["rl_games"].overrides


def _check_overrides(algo: AlgoCfg) -> None:
    ours = {row.theirs: row.ours for row in TRANSLATED}
    ours["config.minibatch_size"] = "ppo.minibatch_size"
    for name, value in flat(overrides_of(algo)).items():
        setting = f"algo.rl_games.overrides.{name}"
        if name in ours:
            raise ConfigError(setting, value, f"it is translated: set algo.{ours[name]}")
        if not any(name == known or name.startswith(f"{known}.") for known in OVERRIDABLE):
            near = difflib.get_close_matches(name, OVERRIDABLE, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            where = "docs/algorithms/rl_games_ppo.md lists what can be overridden"
            raise ConfigError(setting, value, f"unknown{hint} ({where})")
        if name.startswith("network.rnn.") and algo.network.kind != "lstm":
            raise ConfigError(setting, value, "there is no LSTM; use algo.network.kind=lstm")


def _check_minibatches(algo: AlgoCfg, num_envs: int) -> None:
    ppo, size = algo.ppo, sequences_per_minibatch(algo, num_envs)
    if ppo.minibatch_size is not None:
        name, value, is_even = "minibatch_size", ppo.minibatch_size, num_envs % size == 0
        fitting = f"{ppo.horizon} times a divisor of num_envs={num_envs}"
    else:
        name, value = "num_minibatches", ppo.num_minibatches
        is_even = num_envs % ppo.num_minibatches == 0
        fitting = f"a divisor of num_envs={num_envs}"
    if not is_even:
        way_out = f"rl_games needs equal minibatches; use {fitting}"
        raise ConfigError(f"algo.ppo.{name}", value, way_out)
    if algo.network.kind == "lstm" and size < 2:
        way_out = (
            "with an LSTM rl_games overlooks ends of episodes in minibatches of one sequence; use "
            "larger minibatches, or more num_envs"
        )
        raise ConfigError(f"algo.ppo.{name}", value, way_out)
