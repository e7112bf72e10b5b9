"""The schema and the yaml files of `cfg/`: presets, experiments, documentation."""

from __future__ import annotations

import ast
from dataclasses import is_dataclass
from typing import Iterator, List, Tuple

import pytest

from epo.validation import validate
from tests.composed import CONFIG_DIR, REPOSITORY, composed
from tests.settings import flat

ALGORITHMS = ("ppo", "sapg", "epo", "epo_official")
# Task: episode length and hold steps (control steps), random forces, entropy scale, O, arms
# as in the table of published settings per task.
PUBLISHED = {
    "AllegroKukaRegrasping": (400, 30, 2.0, 0.0, 1),
    "AllegroKukaReorientation": (600, 1, 2.0, 0.005, 1),
    "AllegroKukaTwoArmsRegrasping": (400, 30, 2.0, 0.002, 2),
    "AllegroKukaTwoArmsReorientation": (600, 1, 2.0, 0.002, 2),
    "AllegroKukaThrow": (300, 5, 0.0, 0.0, 1),
    "AllegroKukaTwoArmsReorientationPartition": (600, 1, 2.0, 0.002, 2),
    "AllegroKukaTwoArmsReorientationHole": (600, 1, 2.0, 0.002, 2),
    "AllegroKukaTwoArmsReorientationBarrier": (600, 1, 2.0, 0.002, 2),
}


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_preset_differs_from_ppo_only_in_what_makes_it_a_population(algo: str):
    ppo, other = flat(composed("algo=ppo").algo), flat(composed(f"algo={algo}").algo)
    changed = {name.partition(".")[0] for name in ppo if ppo[name] != other[name]}
    assert changed <= {"name", "num_agents", "aggregation", "evolution"}
    assert other["aggregation.mode"] == ("none" if algo == "ppo" else "leader_follower")


@pytest.mark.parametrize(
    ("algo", "num_agents", "evolves"),
    [("ppo", 1, False), ("sapg", 6, False), ("epo", 64, True), ("epo_official", 64, True)],
)
def test_preset_has_the_published_population(algo: str, num_agents: int, evolves: bool):
    cfg = composed(f"algo={algo}").algo
    assert (cfg.name, cfg.num_agents, cfg.evolution.enabled) == (algo, num_agents, evolves)


def test_epo_without_evolution_is_sapg():
    epo = flat(composed("algo=epo", "algo.evolution.enabled=false"))
    sapg = flat(composed("algo=sapg"))
    differing = {name for name in epo if epo[name] != sapg[name]}
    assert differing == {"algo.name", "algo.num_agents"}


def test_official_preset_is_the_released_rule():
    official, paper = composed("algo=epo_official").algo, composed("algo=epo").algo
    assert flat(official.evolution) == {
        **flat(paper.evolution),
        "fitness_metric": "fitness",
        "trigger": "interval",
        "noise_guard": 0.0,
        "num_replaced": 1,
        "parents": "top2",
        "mutation_sigma": 0.0,
        "leader_is_parent": True,
    }


@pytest.mark.parametrize("task", PUBLISHED)
def test_paper_experiment_holds_the_published_setting(task: str):
    cfg = composed(f"experiment=paper/{task}")
    episode_length, hold_steps, force, entropy_scale, num_arms = PUBLISHED[task]
    assert (cfg.task.name, cfg.algo.name, cfg.task.num_arms) == (task, "epo", num_arms)
    assert (cfg.task.episode_length, cfg.task.success_hold_steps) == (episode_length, hold_steps)
    assert (cfg.task.force.scale, cfg.algo.aggregation.entropy_scale) == (force, entropy_scale)
    assert (cfg.num_envs, cfg.algo.num_agents) == (24_576, 64)
    # 4 minibatches of 4 N = 98,304 of the N T = 393,216 samples.
    assert cfg.num_envs * cfg.algo.ppo.horizon / cfg.algo.ppo.num_minibatches == 98_304
    validate(cfg)


def test_common_settings_are_the_published_ones():
    ppo, network = composed("algo=epo").algo.ppo, composed("algo=epo").algo.network
    assert (ppo.horizon, ppo.num_epochs, ppo.gamma, ppo.gae_lambda) == (16, 2, 0.99, 0.95)
    # Critic coefficient 4 with a factor 1/2.
    assert (ppo.clip_eps, ppo.value_coef, ppo.bounds_coef, ppo.soft_bound) == (0.1, 2.0, 1e-4, 1.1)
    assert (ppo.learning_rate, ppo.min_learning_rate, ppo.max_learning_rate) == (1e-4, 1e-6, 1e-2)
    assert (ppo.kl_target, ppo.max_grad_norm, ppo.reward_scale) == (0.016, 1.0, 0.01)
    assert (network.lstm_units, network.mlp_units, network.gene_dim) == (768, [768, 512, 256], 32)


def test_experiment_leaves_the_algorithm_to_the_command_line():
    assert composed("experiment=paper/AllegroKukaRegrasping", "algo=sapg").algo.name == "sapg"


def test_laptop_experiment_is_a_small_population_that_evolves_and_ends():
    cfg = composed("experiment=laptop")
    validate(cfg)
    assert cfg.num_agents > 2 and cfg.algo.evolution.enabled and cfg.max_minutes == 10
    # At the 5,000 frames/s of a slow laptop the run still sees its warm-up and a generation.
    assert cfg.algo.evolution.warmup_frames < 5_000 * 60 * cfg.max_minutes


def test_hydra_writes_nothing_beside_the_run_folder():
    text = (CONFIG_DIR / "config.yaml").read_text()
    assert "output_subdir: null" in text and "chdir: false" in text
    assert "hydra/job_logging: none" in text and "hydra/hydra_logging: none" in text


def fields_of(path: str) -> Iterator[Tuple[str, bool]]:
    """Return each dataclass field of a module and whether a doc line follows it."""
    for node in ast.parse((REPOSITORY / path).read_text()).body:
        if not isinstance(node, ast.ClassDef) or not node.decorator_list:
            continue
        body: List[ast.stmt] = [*node.body, ast.Pass()]
        for statement, following in zip(body, body[1:]):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                has_doc = isinstance(following, ast.Expr) and isinstance(
                    following.value, ast.Constant
                )
                yield f"{node.name}.{statement.target.id}", has_doc


SCHEMAS = [
    *sorted(REPOSITORY.glob("epo/config/*.py")),
    *sorted(REPOSITORY.glob("tasks/**/config.py")),
]


@pytest.mark.parametrize("path", [str(path.relative_to(REPOSITORY)) for path in SCHEMAS])
def test_every_setting_has_a_doc_line(path: str):
    found = [(name.partition(".")[2], has_doc) for name, has_doc in fields_of(path)]
    explained = {name for name, has_doc in found if has_doc}  # by the class that is extended
    missing = {name for name, _ in found} - explained
    groups = [name for name, value in vars(composed().task).items() if is_dataclass(value)]
    groups += [name for name, value in vars(composed().algo).items() if is_dataclass(value)]
    assert missing <= set(groups)  # a group of settings is explained by its own class
