"""rl_games' agent beside ours: the same network, the same update, and where they differ."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("rl_games")

from epo.config.rl_games import OVERRIDABLE
from epo.peers.rl_games.agent import RlGamesPolicy, build_model
from epo.peers.rl_games.parameters import nested, parameters
from epo.runner.rl_games import RlGamesLoop
from epo.runner.trainer import Trainer
from tests.peers.rl_games.small import Settings, small_loop, twins

KINDS = ("mlp", "lstm")


def names(kind: str, num_layers: int) -> Dict[str, str]:
    """Return our parameters' names in rl_games' network."""
    found = {"log_std": "sigma"}
    layers = {"mean_head": "mu", "value_head": "value"}
    layers.update({f"mlp.{i}": f"actor_mlp.{2 * i}" for i in range(num_layers)})  # ELUs between
    if kind == "lstm":
        layers["norm"] = "layer_norm"
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            found[f"lstm.{name}"] = f"rnn.rnn.{name}_l0"
    for ours, theirs in layers.items():
        found.update({f"{ours}.{name}": f"{theirs}.{name}" for name in ("weight", "bias")})
    return found


def pairs(kind: str, ours: Any, theirs: Any) -> List[List[Tensor]]:
    """Return corresponding parameters; every parameter has a partner of the same size."""
    own = dict(ours.model.named_parameters())
    other = dict(theirs.agent.agent.model.a2c_network.named_parameters())
    partner = names(kind, num_layers=2)
    assert set(partner) == set(own) and set(partner.values()) == set(other)
    # Our log stds have a row per agent.
    return [[own[name].data, other[partner[name]].data.view_as(own[name])] for name in own]


def make_twins(kind: str, settings: Optional[Settings] = None) -> List[Any]:
    """Build both loops with the weights and the action noise of rl_games."""
    ours, theirs = twins({"algo.network.kind": kind, **(settings or {})})
    assert isinstance(ours, Trainer) and isinstance(theirs, RlGamesLoop)
    theirs.agent.agent.model.a2c_network.mu.bias.data.fill_(1.05)  # the bounds count
    for own, other in pairs(kind, ours, theirs):
        own.copy_(other)
    ours.collector.draw_noise = torch.randn_like  # type: ignore[method-assign]
    collect = ours.collector.collect

    def collect_and_draw() -> Any:
        rollout = collect()
        torch.randn_like(rollout.action[0])  # rl_games also draws for the last value
        return rollout

    ours.collector.collect = collect_and_draw  # type: ignore[method-assign]
    return [ours, theirs]


def iterate(ours: Any, theirs: Any) -> List[Dict[str, float]]:
    """Run one iteration of both with the same random numbers."""
    start = torch.get_rng_state()
    row = theirs.iterate()
    end = torch.get_rng_state()
    torch.set_rng_state(start)
    rows = [ours.iterate(), row]
    assert torch.equal(torch.get_rng_state(), end)
    return rows


@pytest.mark.parametrize("kind", KINDS)
def test_network_is_the_same_function(kind: str):
    ours, theirs = make_twins(kind)
    observation = torch.randn(16, 4)
    memory, is_first = ours.model.initial_memory(16), torch.zeros(16, dtype=torch.bool)
    policy = RlGamesPolicy(theirs.agent.agent.model, torch.device("cpu"))
    for _ in range(3):
        output = ours.model(
            observation[None], torch.zeros(16, dtype=torch.int64), memory, is_first[None]
        )
        memory = output.memory
        mean = policy.act(observation, is_first)
        assert torch.allclose(mean, output.mean[0], atol=1e-6)  # float32 rounding
        is_first = torch.arange(16) % 2 == 0


@pytest.mark.parametrize("kind", KINDS)
def test_update_is_ours_without_normalizers(kind: str):
    ours, theirs = make_twins(
        kind,
        {
            "algo.normalizer.observation": False,
            "algo.normalizer.value": False,
            "algo.ppo.entropy_coef": 0.01,
            "algo.ppo.bounds_coef": 0.1,
            "algo.ppo.learning_rate": 1e-3,
            "algo.ppo.horizon": 20,
            "task.episode_length": 30,  # episodes end inside sequences and at their ends
        },
    )
    for _ in range(5):
        own, other = iterate(ours, theirs)
        for name in ("kl", "lr", "entropy", "loss/surrogate", "loss/value", "loss/bounds"):
            assert own[name] == pytest.approx(other[name], rel=1e-4, abs=1e-6), name
        found = other["leader/episode_return"]  # NaN until the first episode ends
        assert own["leader/episode_return"] == pytest.approx(found, nan_ok=True)
    assert own["loss/bounds"] > 1e-4 and own["lr"] != 1e-3
    # Five iterations of float32 rounding.
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in pairs(kind, ours, theirs))


def test_statistics_differ_in_what_they_count():
    ours, theirs = make_twins("mlp", {"algo.ppo.num_epochs": 3})
    iterate(ours, theirs)
    model, samples = theirs.agent.agent.model, 16 * 16
    # rl_games 1.6.5 counts the observations in every epoch, we in the first one.
    assert float(ours.model.observation_normalizer.count) == 1 + samples
    assert float(model.running_mean_std.count) == 1 + 3 * samples
    # Values and returns: alike.
    assert float(ours.model.value_normalizer.count) == float(model.value_mean_std.count)
    # Its variance is the biased one: 256 returns make 1 / 256 of the new part.
    assert torch.allclose(ours.model.value_normalizer.mean, model.value_mean_std.running_mean)
    assert torch.allclose(
        ours.model.value_normalizer.var, model.value_mean_std.running_var, rtol=1 / samples
    )


def test_truncation_is_bootstrapped_from_the_state_before_it():
    def play(bootstrap: bool) -> Dict[str, Tensor]:
        loop = small_loop(
            {
                "algo.ppo.bootstrap_truncated": bootstrap,
                "algo.network.kind": "mlp",
                "algo.normalizer.value": False,
                "task.episode_length": 16,
            }
        )
        assert isinstance(loop, RlGamesLoop)
        with torch.no_grad():
            loop.agent.agent.play_steps()
        return loop.agent.agent.experience_buffer.tensor_dict

    without, with_value = play(False), play(True)
    gained = with_value["rewards"] - without["rewards"]
    assert torch.count_nonzero(gained[:-1]) == 0
    # gamma V(s), s the state that the last action was chosen in; ours takes the one after it.
    assert torch.allclose(gained[-1], 0.99 * with_value["values"][-1], atol=1e-6)


OVERRIDES: Dict[str, Any] = {
    "config.bound_loss_type": "regularisation",
    "config.freeze_critic": True,
    "config.mixed_precision": False,
    "config.normalize_advantage": False,
    "config.reward_shaper.max_val": 0.5,
    "config.reward_shaper.min_val": -0.5,
    "config.reward_shaper.shift_value": 1.0,
    "config.schedule_type": "legacy",
    "config.use_smooth_clamp": True,
    "config.weight_decay": 0.1,
    "config.zero_rnn_on_done": False,
    "network.mlp.activation": "relu",
    "network.mlp.d2rl": True,
    "network.mlp.initializer": {"name": "orthogonal_initializer", "gain": 1.4},
    "network.rnn.before_mlp": False,
    "network.rnn.concat_input": True,
    "network.rnn.concat_output": True,
    "network.rnn.layer_norm": False,
    "network.rnn.layers": 2,
    "network.rnn.name": "gru",
    "network.separate": True,
}


def test_list_of_overrides_is_complete():
    assert set(OVERRIDES) == set(OVERRIDABLE)


@pytest.mark.parametrize("name", OVERRIDABLE)
def test_override_trains(name: str):
    overrides = nested({name: OVERRIDES[name]})
    loop = small_loop({"algo.rl_games.overrides": overrides, "algo.ppo.num_epochs": 1})
    for _ in range(2):
        loop.iterate()


def test_policy_chooses_the_most_likely_of_choices():
    loop = small_loop({"algo.network.kind": "mlp"})
    spec = loop.env.spec.__class__("Fake", "none", 3, 2, 1, 0.1, choices=(4,))
    cpu = torch.device("cpu")
    model = build_model(parameters(loop.cfg.algo, spec, "cpu", 1), spec, cpu)
    logits = model.get_submodule("a2c_network.logits")
    assert isinstance(logits, nn.Linear)
    logits.weight.data.zero_()
    logits.bias.data.copy_(torch.tensor([0.0, 3.0, 1.0, 2.0]))
    action = RlGamesPolicy(model, cpu).act(torch.zeros(3, 2), torch.ones(3, dtype=torch.bool))
    assert action.tolist() == [[1.0], [1.0], [1.0]]
