"""The learner solves what it must: probes with known answers, a small task by each algorithm."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

import pytest
import torch

from epo.config import Config
from epo.record.recorder import Recorder
from epo.runner.trainer import Trainer
from tasks import registry
from tests.composed import composed

SMALL = [
    "device=cpu",
    "num_envs=128",
    "algo.network.lstm_units=16",
    "algo.network.mlp_units=[32,32]",
    "algo.network.initial_log_std=-0.5",
    "algo.ppo.reward_scale=1.0",
    "algo.ppo.num_epochs=4",
    "algo.ppo.learning_rate=1e-3",
]


def make_trainer(*overrides: str) -> Trainer:
    cfg: Config = composed(*SMALL, *overrides)
    if cfg.num_agents == "auto":
        cfg.num_agents = cfg.algo.num_agents
    env = registry.make(
        cfg.task, cfg.engine, cfg.num_envs, torch.device("cpu"), cfg.seed, cfg.num_agents
    )
    return Trainer(cfg, env, Recorder([]))


def learn(trainer: Trainer, num_iterations: int) -> List[Mapping[str, float]]:
    return [trainer.iterate() for _ in range(num_iterations)]


def value_of(trainer: Trainer, observation: List[float]) -> float:
    """Value of one observation at the start of an episode, under agent 0."""
    model = trainer.model
    with torch.no_grad():
        output = model(
            torch.tensor([[observation]]),
            torch.zeros(1, dtype=torch.int64),
            model.initial_memory(1),
            torch.ones(1, 1, dtype=torch.bool),
        )
    return float(model.denormalize_value(output.value))


@pytest.mark.slow
def test_value_probe_is_worth_its_reward():
    trainer = make_trainer("task=ProbeValue", "algo=ppo", "algo.network.kind=mlp")
    learn(trainer, 30)
    assert value_of(trainer, [0.0]) == pytest.approx(1.0, abs=0.05)


@pytest.mark.slow
def test_discount_probe_is_worth_the_discounted_reward():
    trainer = make_trainer(
        "task=ProbeDiscount", "algo=ppo", "algo.network.kind=mlp", "algo.ppo.gamma=0.8"
    )
    learn(trainer, 80)
    # Reward 1 in the last of 4 steps: 0.8^3 = 0.512, 0.64, 0.8, 1 at elapsed 0, 1/4, 1/2, 3/4.
    for elapsed, expected in ((0.0, 0.512), (0.25, 0.64), (0.5, 0.8), (0.75, 1.0)):
        assert value_of(trainer, [elapsed]) == pytest.approx(expected, abs=0.06)


@pytest.mark.slow
def test_policy_probe_is_solved():
    trainer = make_trainer("task=ProbePolicy", "algo=ppo", "algo.network.kind=mlp")
    # The sign is seen: at best 1, blind 0.
    assert learn(trainer, 40)[-1]["leader/episode_return"] > 0.9


@pytest.mark.slow
def test_memory_probe_is_solved_with_lstm_only():
    returns: Dict[str, float] = {}
    for kind, num_iterations in (("lstm", 60), ("mlp", 30)):
        trainer = make_trainer("task=ProbeMemory", "algo=ppo", f"algo.network.kind={kind}")
        returns[kind] = learn(trainer, num_iterations)[-1]["leader/episode_return"]
    assert returns["lstm"] > 0.8
    assert abs(returns["mlp"]) < 0.3  # the sign is gone: chance, standard error 0.09


@pytest.mark.slow
def test_gene_probe_is_solved_by_genes_only():
    run = ["task=ProbeGene", "algo=sapg", "num_agents=4", "algo.aggregation.mode=none"]
    with_genes = make_trainer(*run, "algo.network.kind=mlp")
    blind = make_trainer(*run, "algo.network.kind=mlp")
    assert blind.model.gene is not None
    blind.model.gene.requires_grad_(False).zero_()
    reached = [
        learn(trainer, 60)[-1]["population/episode_return"] for trainer in (with_genes, blind)
    ]
    # Targets -.75, -.25, .25, .75: blind at most 1 - 0.5, and less by the action noise.
    assert reached[0] > 0.8
    assert reached[1] < 0.55


@pytest.mark.slow
@pytest.mark.parametrize("algo", ["ppo", "sapg", "epo"])
def test_reach_improves_with_every_algorithm(algo):
    more: Dict[str, Any] = {"ppo": [], "sapg": ["num_agents=4"], "epo": ["num_agents=4"]}
    trainer = make_trainer(
        "task=ProbeReach",
        f"algo={algo}",
        "algo.network.kind=mlp",
        "algo.evolution.warmup_frames=20000",
        "algo.evolution.interval_frames=20000",
        "algo.evolution.noise_guard=0",
        "algo.evolution.gap_ratio=0",
        *more[algo],
    )
    rows = learn(trainer, 60)
    # Random actions reach less than one goal in 50 steps, steering straight at it 5 to 7.
    assert rows[8]["leader/successes"] < 1.5
    assert rows[-1]["leader/successes"] > 3.0
    assert (trainer.evolution.generation >= 2) == (algo == "epo")
