"""From our settings to `params` of rl_games' yaml; the table itself: `epo.config.rl_games`."""

from __future__ import annotations

from functools import reduce
from typing import Any, Dict

from epo.config import AlgoCfg
from epo.config.rl_games import TRANSLATED, overrides_of, sequences_per_minibatch
from epo.dotted import flat
from epo.envs import EnvSpec

NAME = "epo"
"""Of the environments in rl_games' registries, and of its experiment."""
COMMON: Dict[str, Any] = {
    "torch_threads": 0,  # leave torch's threads alone
    "config.name": NAME,
    "config.env_name": NAME,
    "config.normalize_advantage": True,
    "config.truncate_grads": True,
    "config.schedule_type": "standard",  # the step size changes after an epoch
    "network.name": "actor_critic",
    "network.separate": False,
    "network.mlp.activation": "elu",
    "network.mlp.initializer.name": "default",
}
"""The shape of our actor-critic, and PPO as ours."""
GAUSSIAN: Dict[str, Any] = {
    "algo.name": "a2c_continuous",
    "model.name": "continuous_a2c_logstd",
    "network.space.continuous.mu_activation": "None",
    "network.space.continuous.sigma_activation": "None",
    "network.space.continuous.mu_init.name": "default",
    "network.space.continuous.sigma_init.name": "const_initializer",
    "network.space.continuous.fixed_sigma": True,
}
DISCRETE: Dict[str, Any] = {
    "algo.name": "a2c_discrete",
    "model.name": "discrete_a2c",
    "network.space.discrete": {},
}
LSTM: Dict[str, Any] = {
    "network.rnn.name": "lstm",
    "network.rnn.layers": 1,
    "network.rnn.before_mlp": True,
    "network.rnn.layer_norm": True,
}


def parameters(algo: AlgoCfg, spec: EnvSpec, device: str, seed: int) -> Dict[str, Any]:
    """Translate a checked configuration.

    Args:
        algo: our settings.
        spec: of the environments.
        device: where everything lives.
        seed: of torch, numpy and `random`, which rl_games draws from; in [1, 2^32).

    Returns:
        What rl_games reads below `params`, nested as in its yaml.
    """
    is_discrete, is_lstm = bool(spec.choices), algo.network.kind == "lstm"
    settings = {**COMMON, **(DISCRETE if is_discrete else GAUSSIAN), **(LSTM if is_lstm else {})}
    for row in TRANSLATED:
        settings[row.theirs] = row.convert(reduce(getattr, row.ours.split("."), algo))
    settings["config.minibatch_size"] = (
        sequences_per_minibatch(algo, spec.num_envs) * algo.ppo.horizon
    )
    settings.update({"config.num_actors": spec.num_envs, "config.device": device, "seed": seed})
    settings.update(flat(overrides_of(algo)))
    tree = nested(settings)
    # rl_games goes by what is there.
    if is_discrete:
        del tree["network"]["space"]["continuous"]
    if not is_lstm:
        del tree["network"]["rnn"]
    return tree


def nested(leaves: Dict[str, Any]) -> Dict[str, Any]:
    """Return dotted names as nested dictionaries."""
    tree: Dict[str, Any] = {}
    for name, value in leaves.items():
        *path, last = name.split(".")
        reduce(lambda node, key: node.setdefault(key, {}), path, tree)[last] = value
    return tree
