"""Floating-point operations of the network, against what torch counts."""

from __future__ import annotations

from typing import Tuple

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from epo.cli.bench.flops import (
    Shapes,
    backward,
    forward,
    rollout_work,
    total_flops,
    update_work,
)
from epo.config import AggregationCfg, NetworkCfg, NormalizerCfg, PPOCfg
from epo.models.actor_critic import ActorCritic

STEPS, BATCH = 4, 6
WIDTHS = {"observation_dim": 5, "policy_dim": 3}


def make(kind: str, num_agents: int, critic: str) -> Tuple[ActorCritic, Shapes]:
    network = NetworkCfg(kind=kind, lstm_units=8, mlp_units=[7, 9], gene_dim=2, critic=critic)
    model = ActorCritic(5, 3, num_agents, network, NormalizerCfg(), state_dim=6)
    return model, Shapes.of(model, network)


def test_operations_by_hand():
    shapes = Shapes(**WIDTHS, lstm_units=8, mlp_units=(7,))
    # 24 rows: 5 -> 32, 8 -> 32 (recurrent), 8 -> 7, 7 -> 3 and 7 -> 1; twice each.
    products = 5 * 32 + 8 * 32 + 8 * 7 + 7 * 3 + 7 * 1
    assert total_flops(forward(shapes, STEPS, BATCH)) == 2 * 24 * products
    # Weights again the same; inputs without the first layer, and one recurrent step less.
    inputs = 2 * 24 * (products - 5 * 32) - 2 * 6 * 8 * 32
    assert total_flops(backward(shapes, STEPS, BATCH)) == 2 * 24 * products + inputs


@pytest.mark.parametrize("kind", ["lstm", "mlp"])
@pytest.mark.parametrize(
    ("num_agents", "critic"), [(1, "shared"), (3, "shared"), (3, "asymmetric")]
)
def test_operations_are_those_that_torch_counts(
    monkeypatch: pytest.MonkeyPatch, kind: str, num_agents: int, critic: str
):
    # Columns of zeros are no work that has to be done.
    monkeypatch.setattr("epo.models.lstm.ALIGNMENT", 1)
    model, shapes = make(kind, num_agents, critic)
    # Neither is the LSTM's bias, which is a further column where all sequences share it.
    is_column = kind == "lstm" and num_agents == 1
    of_bias = 2 * STEPS * BATCH * 4 * shapes.lstm_units if is_column else 0
    with FlopCounterMode(display=False) as counter:
        output = model(
            torch.randn(STEPS, BATCH, 5),
            torch.arange(BATCH) % num_agents,
            model.initial_memory(BATCH),
            torch.zeros(STEPS, BATCH, dtype=torch.bool),
            torch.randn(STEPS, BATCH, 6) if model.state_dim else None,
        )
        counted_forward = counter.get_total_flops()
        (output.mean.sum() + output.value.sum()).backward()
    assert total_flops(forward(shapes, STEPS, BATCH)) == counted_forward - of_bias
    counted_backward = counter.get_total_flops() - counted_forward
    assert total_flops(backward(shapes, STEPS, BATCH)) == counted_backward - of_bias


def test_layers_of_equal_widths_keep_their_own_gradients():
    # The first layer, which passes nothing on, has the shape of the second one.
    shapes = Shapes(observation_dim=8, policy_dim=3, lstm_units=0, mlp_units=(8, 8))
    products = 2 * 8 * 8 + 8 * 3 + 8 * 1
    expected = 2 * 24 * (2 * products - 8 * 8)
    assert total_flops(backward(shapes, STEPS, BATCH)) == expected


def test_rollout_is_one_pass_more_than_steps():
    shapes = Shapes(**WIDTHS, lstm_units=8, mlp_units=(7,))
    once = total_flops(forward(shapes, 1, 10))
    assert total_flops(rollout_work(shapes, 10, PPOCfg(horizon=4))) == 5 * once
    bootstrapped = PPOCfg(horizon=4, bootstrap_truncated=True)
    assert total_flops(rollout_work(shapes, 10, bootstrapped)) == 9 * once


@pytest.mark.parametrize("hidden", ["unroll", "stored"])
def test_update_is_epochs_over_all_sequences_and_the_relabelling(hidden: str):
    shapes = Shapes(**WIDTHS, lstm_units=8, mlp_units=(7,))
    ppo, aggregation = PPOCfg(horizon=4, num_epochs=3), AggregationCfg(hidden=hidden)
    # 12 + 4 sequences in 4 minibatches of 4; the 4 are valued at 5 steps.
    step = total_flops(forward(shapes, 4, 4)) + total_flops(backward(shapes, 4, 4))
    expected = 3 * 4 * step + total_flops(forward(shapes, 5, 4))
    assert total_flops(update_work(shapes, 12, 4, ppo, aggregation)) == expected
