"""One iteration: what comes to the host, what is recorded, when the leader is the best."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path

import pytest
import torch

from epo.population import Fitness
from epo.record.csv import GENES, GenesCsv, rows
from epo.record.recorder import Recorder
from epo.runner.seeds import derive_seed
from epo.runner.snapshot import Snapshot, transfer
from epo.runner.trainer import Trainer
from tasks import registry
from tests.composed import composed
from tests.runner.rows import Rows


def make_trainer(sink: Rows, *overrides: str) -> Trainer:
    cfg = composed(
        "task=ProbeReach",
        "algo=epo",
        "num_agents=4",
        "num_envs=16",
        "algo.network.kind=mlp",
        "algo.network.mlp_units=[8]",
        "algo.evolution.warmup_frames=0",
        "algo.evolution.interval_frames=512",
        "algo.evolution.noise_guard=0",
        "algo.evolution.gap_ratio=0",
        *overrides,
    )
    cpu = torch.device("cpu")
    env = registry.make(cfg.task, cfg.engine, cfg.num_envs, cpu, cfg.seed, cfg.num_agents)
    return Trainer(cfg, env, Recorder([sink]))


def test_genes_are_recorded_before_a_generation_changes_them(tmp_path: Path):
    trainer = make_trainer(Rows())
    gene = trainer.model.gene
    assert gene is not None
    trainer.recorder = Recorder([], GenesCsv(tmp_path))
    trainer.iterate()
    first = gene.detach().clone()
    while not trainer.evolution.generation:
        trainer.iterate()
    trainer.recorder.close()
    table = list(rows(tmp_path / GENES))
    assert table[0]["iteration"] == "1" and json.loads(table[-1]["ids"]) == [0, 1, 2, 3]
    assert table[-1]["generation"] == "0" and table[-1]["iteration"] == str(trainer.iteration)
    torch.testing.assert_close(
        torch.tensor(json.loads(table[0]["genes"])), first, rtol=0, atol=1e-5
    )
    replaced = trainer.evolution.lineage.ids.index(4)
    recorded = torch.tensor(json.loads(table[-1]["genes"]))
    is_same = torch.isclose(recorded, gene.detach(), rtol=0.0, atol=1e-5).all(dim=1)
    assert is_same.tolist() == [k != replaced for k in range(4)]


def test_transfer_keeps_names_and_values_apart():
    fitness = Fitness(
        torch.tensor([1.0, 2.0]), torch.tensor([0.1, math.inf]), torch.tensor([3.0, 0.0]),
        torch.tensor([True, False]),
    )  # fmt: skip
    snapshot = transfer(
        {"loss": torch.tensor(0.5)},
        {"tolerance": torch.tensor(0.075)},
        fitness,
        {"successes": torch.tensor([4.0, 5.0]), "lifted": torch.tensor([0.0, 1.0])},
    )
    assert snapshot.metrics == {"loss": 0.5}
    assert snapshot.scalars["tolerance"] == pytest.approx(0.075)
    assert snapshot.fitness.fitness.tolist() == [1.0, 2.0]
    assert snapshot.fitness.is_known.tolist() == [True, False]
    assert snapshot.blocks["successes"].tolist() == [4.0, 5.0]
    assert snapshot.blocks["lifted"].tolist() == [0.0, 1.0]


def test_seeds_of_components_differ_and_repeat():
    seeds = {derive_seed(seed, name) for seed in (0, 1) for name in ("model", "learner")}
    assert len(seeds) == 4
    assert derive_seed(1, "model") == derive_seed(1, "model")


def test_row_has_the_columns_that_scripts_rely_on():
    sink = Rows()
    make_trainer(sink).iterate()
    required = (
        "iteration,frames,wall_s,fps,sim_s,learn_s,leader/fitness,leader/episode_return,"
        "leader/successes,population/fitness_mean,population/fitness_best,"
        "population/gene_distance,lr,kl,entropy"
    )
    assert set(required.split(",")) <= set(sink.metrics[0])
    assert (sink.metrics[0]["iteration"], sink.metrics[0]["frames"]) == (1, 16 * 16)


def test_generation_replaces_genes_between_iterations_and_is_recorded():
    sink = Rows()
    trainer = make_trainer(sink)
    gene = trainer.model.gene
    assert gene is not None
    while not sink.generations:
        trainer.iterate()
    row = sink.generations[0]
    assert row["iteration"] == trainer.iteration and row["frames"] == trainer.frames
    replaced = trainer.evolution.lineage.ids.index(4)  # the first gene after 0 to 3
    state = trainer.learner.optimizer.state[gene]
    assert torch.count_nonzero(state["exp_avg"][replaced]) == 0
    assert torch.count_nonzero(state["exp_avg"][trainer.evolution.leader_id]) > 0
    before = gene.detach().clone()
    trainer.iterate()
    assert not torch.equal(gene[replaced], before[replaced])  # the new gene is trained


def test_best_goes_by_the_objective_and_the_later_of_equals():
    trainer = make_trainer(Rows())
    verdicts = []
    for objective in (0.0, 0.0, 2.0, 1.0, math.nan):
        trainer.last_metrics = {"leader/objective": objective, "leader/episode_return": 99.0}
        verdicts.append(trainer.is_best())
        if verdicts[-1]:
            trainer.remember_best()
    assert verdicts == [True, True, True, False, False]
    assert trainer.best_fitness == 2.0
    trainer.remember_best()  # of an objective that nobody knows
    assert trainer.best_fitness == 2.0


def test_limits_end_the_run():
    trainer = make_trainer(Rows(), "max_frames=512")
    assert not trainer.is_finished()
    trainer.iterate()
    assert not trainer.is_finished()
    trainer.iterate()  # 2 x 16 x 16 frames
    assert trainer.is_finished()
    trainer = make_trainer(Rows(), "max_minutes=0.5")
    trainer.wall_s = 30.0
    assert trainer.is_finished()


def test_promoted_follower_and_leader_change_places():
    """With all that is their own; everybody else stays, and so do the weights of all."""
    trainer = make_trainer(
        Rows(), "algo.evolution.promotion_margin=2", "algo.evolution.gap_ratio=1e9"
    )
    trainer.iterate()
    gene, log_std = trainer.model.gene, trainer.model.log_std
    assert gene is not None
    before = copy.deepcopy(trainer.model.state_dict())
    moments = trainer.learner.optimizer.state[gene]["exp_avg"].clone()
    fitness = torch.tensor([0.0, 3.0, 1.0, 2.0])  # of agent 1, and the leader's is 2
    errors, ones = torch.full((4,), 0.1), torch.ones(4)
    trainer.frames += 512
    found = Fitness(fitness, errors, 10 * ones, ones.bool())
    trainer.evolve(Snapshot({}, {}, found, {}))
    assert trainer.evolution.lineage.ids == [0, 3, 2, 1]
    order = [0, 3, 2, 1]
    assert torch.equal(gene, before["gene"][order]) and not torch.equal(gene, before["gene"])
    assert torch.equal(log_std, before["log_std"][order])
    assert torch.equal(trainer.learner.optimizer.state[gene]["exp_avg"], moments[order])
    assert torch.equal(trainer.model.mean_head.weight, before["mean_head.weight"])
    assert trainer.population_row()["population/promotions"] == 1.0
    other = make_trainer(Rows(), "algo.evolution.promotion_margin=2")
    other.load_state_dict(trainer.state_dict())
    assert other.evolution.lineage.ids == [0, 3, 2, 1]
    assert other.population_row()["population/promotions"] == 1.0


@pytest.mark.parametrize("rule", ["until_generation", "never"])
def test_frozen_genes_are_moved_by_generations_alone(rule: str):
    sink = Rows()
    trainer = make_trainer(sink, f"algo.evolution.gene_gradient={rule}")
    gene = trainer.model.gene
    assert gene is not None
    first = gene.detach().clone()
    trainer.iterate()
    assert torch.equal(gene, first) == (rule == "never")
    while not sink.generations:
        trainer.iterate()
    before, trunk = gene.detach().clone(), trainer.model.mean_head.weight.detach().clone()
    resumed = make_trainer(Rows(), f"algo.evolution.gene_gradient={rule}")
    resumed.load_state_dict(trainer.state_dict())
    for one in (trainer, resumed):
        one.iterate()
        assert one.model.gene is not None and torch.equal(one.model.gene, before)
        assert not torch.equal(one.model.mean_head.weight, trunk)  # the rest is trained
