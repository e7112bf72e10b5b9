"""The examples of docs/extending.md: each trains from outside of the repository, unedited."""

from __future__ import annotations

import copy
import csv
import sys
from pathlib import Path
from typing import Dict, List

import pytest
import torch
from hydra.core.config_store import ConfigStore

import epo
import epo.config
from epo.components import TABLES, trainers
from epo.config import ConfigError
from epo.runner.saved_run import SavedRun
from tests.composed import REPOSITORY

EXAMPLES = REPOSITORY / "docs" / "examples"
SMALL = (
    *("num_envs=16", "device=cpu", "max_iterations=2", "algo.ppo.horizon=4"),
    *("algo.network.kind=mlp", "algo.network.mlp_units=[8]", "algo.ppo.num_minibatches=2"),
    *("precision=fp32", "record.console=off", "record.tensorboard=false"),
)


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path: Path):
    """Stand in a folder of one's own that holds the examples; forget them afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    for table in TABLES:
        monkeypatch.setattr(table, "_targets", dict(table._targets))
        monkeypatch.setattr(table, "settings", dict(table.settings))
    before = set(sys.modules)
    yield
    monkeypatch.undo()
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(EXAMPLES)):
            del sys.modules[name]
    epo.config.register(ConfigStore.instance())


def train(*settings: str) -> Path:
    """Train for two iterations, and return the run folder."""
    return epo.train(epo.compose(*SMALL, f"run_dir={Path.cwd() / 'run'}", *settings))


def rows(run: Path) -> List[Dict[str, str]]:
    with open(run / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


POPULATION = ("task=ProbeReach", "algo=epo", "num_agents=4", "algo.network.gene_dim=4")


def test_every_example_is_short_and_stands_in_the_guide():
    guide = (REPOSITORY / "docs" / "extending.md").read_text()
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) < 80, path.name
        assert f"examples/{path.name}" in guide or path.name == "controller.py", path.name


def test_environment_on_the_gpu_is_trained_and_resumed_exactly():
    whole = ("task=Vector", "task.make=gpu_environment:PointEnv", "algo=ppo")
    run = train(*whole)
    assert float(rows(run)[-1]["leader/distance_m"] or "nan") != 0.0
    env = epo.make_env(epo.compose(*SMALL, *whole))
    epo.check_env(env)
    state, action = copy.deepcopy(env.state_dict()), torch.zeros(16, 2)
    first = [env.step(action).observation.clone() for _ in range(101)]
    env.load_state_dict(state)
    assert all(torch.equal(env.step(action).observation, observation) for observation in first)


def test_reward_term_is_learned_from_and_changes_no_fitness():
    settings = ("task=ProbeReach", "algo=ppo", "plugins=[reward_term]", "max_iterations=1")
    plain = rows(train(*settings, "run_dir=plain"))[0]
    own = rows(train(*settings, "algo.ppo.reward_terms=[effort]", "algo.own.effort.weight=1"))[0]
    assert float(own["return/mean"]) < float(plain["return/mean"]) - 0.01
    assert own["leader/fitness"] == plain["leader/fitness"]


def test_operators_breed_the_next_generation():
    run = train(
        *POPULATION,
        *("plugins=[operators]", "algo.evolution.parents=rank", "algo.evolution.crossover=blend"),
        *("algo.evolution.mutation=sparse", "algo.own.sparse.rate=0.5", "max_iterations=6"),
        *("algo.evolution.interval_frames=64", "algo.evolution.warmup_frames=0"),
        *("algo.evolution.trigger=interval", "algo.evolution.noise_guard=0"),
        *("algo.evolution.require_all_known=false", "algo.evolution.require_spread=false"),
    )
    with open(run / "generations.csv", newline="") as file:
        found = list(csv.DictReader(file))
    assert found
    assert found[0]["operator"] == "rank, blend, sparse sigma=0.1"


def test_follower_penalty_is_part_of_the_update():
    run = train(*POPULATION, "plugins=[follower_penalty]", "algo.hooks=[near_leader]")
    assert float(rows(run)[-1]["near_leader/distance"]) > 0.0


def test_advantage_estimator_is_learned_from_and_one_step_is_gae_without_trace():
    one = ("plugins=[advantage]", "algo.ppo.advantage=n_step", "algo.own.n_step.steps=1")
    common = ("task=ProbeReach", "algo=ppo")
    own = rows(train(*common, *one))
    gae = rows(train(*common, "algo.ppo.gae_lambda=0", "run_dir=gae"))
    for name in ("return/mean", "loss/total"):
        assert float(own[-1][name]) == pytest.approx(float(gae[-1][name]), abs=1e-5), name


def test_quantity_reaches_the_loss_and_its_multiplier_is_resumed():
    settings = (
        *("task=Pendulum", "algo=ppo", "plugins=[quantity]", "algo.ppo.quantities=[speed]"),
        *("algo.hooks=[speed_limit]", "algo.own.speed_limit.limit=0"),
    )
    run = train(*settings)
    first = [float(row["speed_limit/multiplier"]) for row in rows(run)]
    assert 0.0 < first[0] < first[1]
    epo.train(epo.compose(*SMALL, *settings, f"resume={run}", "max_iterations=3"))
    assert float(rows(run)[2]["speed_limit/multiplier"]) > first[1]


def test_metric_is_a_column():
    run = train(*POPULATION, "plugins=[metric]", "record.metrics=[effort,spread]")
    assert 0.0 < float(rows(run)[-1]["effort"]) <= 2.0
    assert float(rows(run)[-1]["spread"]) > 0.0


def test_trainer_learns_is_resumed_and_acts():
    settings = (
        *("task=Pendulum", "algo=ppo", "plugins=[trainer]", "algo.trainer=cem", "num_agents=8"),
        "algo.own.cem.num_elites=2",
    )
    run = train(*settings)
    epo.train(epo.compose(*SMALL, *settings, f"resume={run}", "max_iterations=3"))
    assert [row["iteration"] for row in rows(run)] == ["1", "2", "3"]
    policy = epo.load(run)
    observation = torch.tensor([1.0, 0.0, 0.5])
    state = SavedRun(run).state
    expected = (observation @ state["cem"]["mean"]).tanh()
    assert torch.allclose(policy.act(observation), expected)


def test_module_of_a_saved_run_is_imported_where_its_user_agrees(monkeypatch):
    settings = ("task=Pendulum", "algo=ppo", "algo.trainer=cem", "algo.own.cem.num_elites=2")
    run = train(*settings, "plugins=[trainer]", "num_agents=8", "max_iterations=1")
    # What a process finds that has imported nothing yet.
    monkeypatch.setattr(
        trainers, "_targets", {n: t for n, t in trainers._targets.items() if n != "cem"}
    )
    monkeypatch.delitem(sys.modules, "trainer")
    with pytest.raises(ConfigError, match=r"algo\.trainer=cem: unknown .*plugins="):
        epo.load(run)
    with pytest.raises(ConfigError, match=r"the module 'trainer', .* add plugins=\[trainer\]"):
        epo.evaluate(run, episodes=1)
    assert "trainer" not in sys.modules
    (result,) = epo.evaluate(run, episodes=2, settings=["trust=true"])
    assert result["return"]["value"] < 0.0
    assert "trainer" in sys.modules


def test_module_that_is_not_there_is_one_line():
    with pytest.raises(ConfigError, match="plugins=no_such: there is no module no_such; run where"):
        epo.compose(*SMALL, "plugins=[no_such]")
    Path("broken.py").write_text("1 / 0")
    with pytest.raises(
        ConfigError, match=r"plugins=broken: cannot be imported \(ZeroDivisionError"
    ):
        epo.compose(*SMALL, "plugins=[broken]")
    with pytest.raises(ConfigError, match="plugins=3: give a list of modules"):
        epo.compose(*SMALL, "plugins=3")


def test_own_setting_of_the_wrong_type_or_name_is_one_line():
    common = (*SMALL, "task=ProbeReach", "plugins=[reward_term]")
    with pytest.raises(ConfigError, match=r"effort\.weight=much: give a number"):
        epo.compose(*common, "algo.own.effort.weight=much")
    with pytest.raises(ConfigError, match=r"effort\.wait=1: there is no such setting; did you"):
        epo.compose(*common, "algo.own.effort.wait=1")
