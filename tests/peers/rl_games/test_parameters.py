"""What becomes of our settings in rl_games; rl_games itself is not needed."""

from __future__ import annotations

import dataclasses
from functools import reduce
from typing import Any, Dict

import pytest

from epo.config import Config, ConfigError, NetworkCfg, NormalizerCfg, PPOCfg
from epo.config import rl_games as tables
from epo.envs import EnvSpec
from epo.peers.rl_games.parameters import parameters
from epo.validation import validate
from tests.composed import composed
from tests.peers.rl_games.small import SAME, Settings, changed

SPEC = EnvSpec("Probe", "torch", num_envs=16, observation_dim=4, action_dim=2, control_dt_s=0.05)


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "find_spec", lambda name: "here")


def configured(settings: Settings) -> Config:
    return changed(composed("algo=rl_games_ppo"), settings)


def translated(settings: Settings, spec: EnvSpec = SPEC) -> Dict[str, Any]:
    return tables.flat(parameters(configured(settings).algo, spec, "cpu", seed=1))


def refusal(settings: Settings) -> str:
    with pytest.raises(ConfigError) as error:
        validate(configured(settings))
    message = str(error.value)
    assert "\n" not in message
    return message


def test_every_setting_has_exactly_one_place_in_the_tables():
    groups = {"ppo": PPOCfg, "network": NetworkCfg, "normalizer": NormalizerCfg}
    settings = {f"{group}.{name}" for group, cfg in groups.items() for name in vars(cfg())}
    translation = {row.ours for row in tables.TRANSLATED}
    fixed = {name for name in tables.FIXED if name.partition(".")[0] in groups}
    places = [translation, set(tables.DERIVED), fixed, set(tables.UNUSED)]
    assert set().union(*places) == settings
    assert sum(map(len, places)) == len(settings)


def test_published_settings_become_the_published_yaml():
    # The training yaml of Allegro-Kuka with LSTM, as far as it is about PPO.
    found = translated({})
    expected = {
        "config.gamma": 0.99,
        "config.tau": 0.95,
        "config.e_clip": 0.1,
        "config.critic_coef": 4.0,
        "config.bounds_loss_coef": 1e-4,
        "config.entropy_coef": 0.0,
        "config.grad_norm": 1.0,
        "config.truncate_grads": True,
        "config.learning_rate": 1e-4,
        "config.lr_schedule": "adaptive",
        "config.schedule_type": "standard",
        "config.kl_threshold": 0.016,
        "config.horizon_length": 16,
        "config.seq_length": 16,
        "config.mini_epochs": 2,
        "config.clip_value": True,
        "config.normalize_input": True,
        "config.normalize_value": True,
        "config.value_bootstrap": False,
        "config.reward_shaper.scale_value": 0.01,
        "network.mlp.units": [768, 512, 256],
        "network.rnn.name": "lstm",
        "network.rnn.units": 768,
        "network.rnn.before_mlp": True,
        "network.rnn.layer_norm": True,
        "network.space.continuous.fixed_sigma": True,
        "network.space.continuous.sigma_init.val": 0.0,
    }
    assert {name: found[name] for name in expected} == expected


def test_minibatches_are_whole_sequences():
    # 16 sequences of 16 steps: four minibatches of 4 sequences, or of 32 / 16 = 2 sequences.
    assert translated({})["config.minibatch_size"] == 4 * 16
    assert translated({"algo.ppo.minibatch_size": 32})["config.minibatch_size"] == 32


def test_network_follows_its_kind_and_the_actions():
    assert not [name for name in translated({"algo.network.kind": "mlp"}) if "rnn" in name]
    spec = dataclasses.replace(SPEC, action_dim=1, choices=(3,))
    found = parameters(configured({}).algo, spec, "cpu", seed=1)
    assert found["algo"]["name"] == "a2c_discrete"
    assert found["network"]["space"] == {"discrete": {}}


def test_our_ppo_with_two_settings_is_the_same_configuration():
    ours, theirs = changed(composed("algo=ppo"), SAME).algo, configured({}).algo
    differing = {
        field.name
        for field in dataclasses.fields(ours)
        if getattr(ours, field.name) != getattr(theirs, field.name)
    }
    assert differing == {"name", "trainer", "diagnostics"}


def test_preset_has_what_is_built_in():
    preset = configured({}).algo
    for name, value in tables.FIXED.items():
        assert reduce(getattr, name.split("."), preset) == value, name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("algo.ppo.shuffle", True),
        ("algo.ppo.max_learning_rate", 0.001),
        ("algo.normalizer.timing", "iteration"),
        ("algo.network.encoder", "cnn"),
        ("algo.clip.kind", "br"),
        ("algo.diagnostics.enabled", True),
    ],
)
def test_what_rl_games_cannot_do_is_refused(name: str, value: Any):
    message = refusal({name: value})
    assert message.startswith(f"{name}={value}: rl_games has ") and "built in" in message


def test_population_is_refused():
    message = refusal({"num_agents": 4})
    assert message.startswith("num_agents=4: algo=rl_games_ppo has no population")


def test_unequal_minibatches_are_refused():
    message = refusal({"num_envs": 10})
    assert message.startswith("algo.ppo.num_minibatches=4: ")
    message = refusal({"num_envs": 10, "algo.ppo.minibatch_size": 48})
    assert message.startswith("algo.ppo.minibatch_size=48: ")
    validate(configured({"num_envs": 12}))


def test_minibatches_of_one_sequence_are_refused_with_lstm_only():
    assert "overlooks ends of episodes" in refusal({"num_envs": 4})
    validate(configured({"num_envs": 4, "algo.network.kind": "mlp"}))


def test_overrides_reach_rl_games_from_the_command_line():
    algo = composed(
        "algo=rl_games_ppo",
        "algo.rl_games.overrides.config.use_smooth_clamp=true",
        "algo.rl_games.overrides.network.rnn.name=gru",
    ).algo
    found = tables.flat(parameters(algo, SPEC, "cpu", seed=1))
    assert found["config.use_smooth_clamp"] is True
    assert (found["network.rnn.name"], found["network.rnn.units"]) == ("gru", 768)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("gamma", "set algo.ppo.gamma"),
        ("minibatch_size", "set algo.ppo.minibatch_size"),
        ("use_smooth_clmp", "did you mean config.use_smooth_clamp?"),
        ("device", "unknown"),
    ],
)
def test_overrides_that_are_ours_or_unknown_are_refused(name: str, hint: str):
    message = refusal({"algo.rl_games.overrides": {"config": {name: 1}}})
    assert message.startswith(f"algo.rl_games.overrides.config.{name}=1: ") and hint in message


def test_overrides_of_an_lstm_that_is_not_there_are_refused():
    overrides = {"network": {"rnn": {"layers": 2}}}
    message = refusal({"algo.network.kind": "mlp", "algo.rl_games.overrides": overrides})
    assert message.endswith("there is no LSTM; use algo.network.kind=lstm")


def test_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tables, "find_spec", lambda name: None)
    expected = "algo.trainer=rl_games: rl_games is not installed; pip install 'epo[rl-games]'"
    assert refusal({}) == expected
