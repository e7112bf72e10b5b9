"""What both sides of `bench peers` are told to do."""

from __future__ import annotations

from dataclasses import replace
from typing import List

import pytest

import epo.config.rl_games
from epo.cli.bench import peer_job
from epo.cli.bench.peer_job import Comparison, Plan, check_work, comparisons, rl_games_job
from epo.config import ConfigError
from epo.config.rl_games import check_rl_games

SMALL = (
    *("task=ProbeReach", "num_envs=8", "device=cpu"),
    *("algo.network.lstm_units=8", "algo.network.mlp_units=[6]"),
)


def small(*arguments: str) -> List[Comparison]:
    return comparisons([*SMALL, *arguments], 0.002)


def test_both_networks_are_compared_unless_one_is_named():
    assert [one.work["sequence_length"] for one in small()] == [16, None]
    (named,) = small("net=mlp")
    assert named.cfg.algo.network.kind == "mlp"


def test_work_is_counted():
    (one,) = small("net=mlp", "algo.ppo.num_epochs=3")
    inputs, actions = one.spec.observation_dim, one.spec.action_dim
    # One hidden layer of 6, mean and value heads, a log standard deviation per action.
    parameters = (inputs + 1) * 6 + 7 * actions + 7 + actions
    assert one.work == {
        "num_parameters": parameters,
        "samples": 128,  # 8 environments, 16 steps
        "num_epochs": 3,
        "num_minibatches": 4,
        "minibatch_size": 32,
        "sequence_length": None,
        "resets_memory": False,
        "normalizes_observation": True,
        "normalizes_value": True,
        "gradient_steps": 12,
    }


def test_our_side_has_the_settings_of_rl_games_and_its_diagnostics():
    algo = small("net=lstm")[0].cfg.algo
    assert algo.trainer == "ppo" and not algo.ppo.shuffle and not algo.diagnostics.enabled
    assert algo.normalizer.timing == "minibatch"


def test_settings_leave_out_what_both_sides_have():
    assert small("net=mlp")[0].settings == [*SMALL, "algo.network.kind=mlp"]


def test_rl_games_need_not_be_installed_here(monkeypatch: pytest.MonkeyPatch):
    expected = [(one.settings, one.work) for one in small()]
    monkeypatch.setattr(epo.config.rl_games, "find_spec", lambda name: None)
    found = small()
    assert [(one.settings, one.work) for one in found] == expected
    with pytest.raises(ConfigError, match="rl_games is not installed"):
        check_rl_games(found[0].cfg)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["algo=sapg"], "algo=sapg: both sides are PPO"),
        (["algo.trainer=pql"], "algo.trainer=pql: both sides are PPO"),
        (["algo.ppo.shuffle=true"], r"algo\.ppo\.shuffle=True: rl_games has false built in"),
        (["algo.ppo.num_minibatches=3"], r"algo\.ppo\.num_minibatches=3: "),
    ],
)
def test_what_only_one_side_can_do_is_refused(arguments: List[str], message: str):
    with pytest.raises(ConfigError, match=message):
        small(*arguments)


def test_discrete_actions_are_refused(monkeypatch: pytest.MonkeyPatch):
    spec = replace(small()[0].spec, name="Choices", choices=(3,))
    monkeypatch.setattr(peer_job, "spec_of", lambda cfg: spec)
    with pytest.raises(ConfigError, match="task=Choices: compared are continuous actions"):
        small()


def test_unequal_work_is_refused():
    expected = small("net=lstm")[0].work
    check_work("rl_games", dict(expected), expected)
    with pytest.raises(ConfigError, match="gradient_steps of rl_games=4: it has to be 8"):
        check_work("rl_games", {**expected, "gradient_steps": 4}, expected)


def test_job_is_the_translated_configuration():
    (one,) = small("net=lstm", "algo.ppo.num_epochs=3", "seed=5")
    plan = Plan(warm_up=1, turns=2, threads=3, dones=0.25)
    found = rl_games_job(one, plan, is_compiled=False)
    assert found["params"]["config"]["mini_epochs"] == 3
    assert found["params"]["config"]["minibatch_size"] == 32  # 8 / 4 sequences of 16
    assert (found["seed"], found["done_probability"], found["threads"]) == (5, 0.25, 3)
