"""The leader is measured during a run, without a trace in the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping

import pytest

from epo.cli import environment
from epo.cli.environment import make_env
from epo.config import Config, ConfigError
from epo.record.csv import METRICS, rows
from epo.record.recorder import Recorder
from epo.runner import checkpoint
from epo.runner.evaluation import Evaluation
from epo.runner.evaluator import Evaluator, load_policy
from epo.runner.loop import Loop
from epo.runner.run import make_loop
from epo.runner.run import run as train
from epo.validation import validate
from tests.composed import composed
from tests.runner.rows import Rows


def small(*overrides: str) -> Config:
    cfg = composed(
        *("task=ProbeReach", "algo=sapg", "num_agents=4", "num_envs=16", "device=cpu"),
        *("algo.network.kind=mlp", "algo.network.mlp_units=[8]", "algo.ppo.horizon=8"),
        *("record.eval_interval=300", "record.eval_episodes=5"),
        *overrides,
    )
    return environment.ready(cfg)[0]


def trained(cfg: Config, num_iterations: int = 6, is_evaluated: bool = True):
    sink = Rows()
    loop = make_loop(cfg, make_env(cfg), Recorder([sink]))
    if is_evaluated:
        loop.evaluation = Evaluation(cfg, make_env)
    for _ in range(num_iterations):
        loop.iterate()
    return loop, sink.metrics


def without_times(row: Mapping[str, float]) -> Dict[str, str]:
    times = ("wall_s", "fps", "sim_s", "learn_s", "act_s")
    return {n: str(v) for n, v in row.items() if n not in times and not n.startswith("eval/")}


def test_evaluation_comes_once_per_interval_and_leaves_training_alone():
    # Frames 128, 256, 384, 512, 640, 768: the intervals of 300 end before 384 and 640.
    (_, rows), (_, others) = (trained(small(), is_evaluated=flag) for flag in (True, False))
    assert ["eval/episode_return" in row for row in rows] == [
        *(False, False, True, False, True, False)
    ]
    assert {n for n in rows[2] if n.startswith("eval/")} == {
        f"eval/{name}" for name in ("episode_return", "steps", "fitness", "successes")
    }
    assert rows[2]["eval/steps"] == 50
    assert [*map(without_times, rows)] == [*map(without_times, others)]


def test_best_checkpoint_is_that_of_the_best_evaluation(tmp_path: Path):
    cfg = small(f'run_dir="{tmp_path}/run"', "max_iterations=6", "record.console=off")
    cfg.record.tensorboard = cfg.record.health.enabled = False
    assert train(cfg, make_env) == 0
    table = {int(row["iteration"]): row["eval/fitness"] for row in rows(tmp_path / "run" / METRICS)}
    measured = {iteration: float(text) for iteration, text in table.items() if text}
    assert list(measured) == [3, 5]  # at 384 and 640 frames
    best = checkpoint.load(tmp_path / "run/checkpoints/best.pt")
    assert best["fitness"] == pytest.approx(max(measured.values()), rel=1e-6)
    # Of equal ones the later.
    assert best["iteration"] == max(measured, key=lambda i: (measured[i], i))


def test_a_curriculum_is_held_where_it_ends():
    held: List[float] = []

    def with_curriculum(own: Config) -> Any:
        env: Any = make_env(own)
        env.level_name, env.target_level = "level", 0.01
        env.hold_level, env.level_of = held.append, lambda state, agent: 0.075
        return env

    cfg = small("algo=ppo", "num_agents=1")
    loop = make_loop(cfg, make_env(cfg), Recorder([]))
    Evaluation(cfg, with_curriculum).measure(loop)
    assert held == [0.01]


def test_the_leader_acts_without_noise_on_the_same_episodes():
    cfg = small("seed=3")
    loop, _ = trained(cfg, 2)
    evaluation = Evaluation(cfg, make_env)
    found = evaluation.measure(loop)
    assert evaluation.measure(loop) == found
    assert found["eval/episode_return"] == pytest.approx(by_hand(loop, cfg, agent=3))
    assert found["eval/episode_return"] != pytest.approx(by_hand(loop, cfg, agent=0))


def by_hand(loop: Loop, cfg: Config, agent: int) -> float:
    own = composed("task=ProbeReach", "num_envs=5", "num_agents=1", "seed=10003", "device=cpu")
    env = make_env(own)
    policy = load_policy(cfg.algo, 4, loop.policy_state(), Path("here"), env, [agent], None)
    evaluator = Evaluator(env, policy)
    for _ in range(50):
        evaluator.step()
    assert len(evaluator.episodes) == 5
    return sum(episode.episode_return for episode in evaluator.episodes) / 5


@pytest.mark.parametrize(
    "overrides",
    [
        ("algo=pbt",),
        ("algo=pql", "num_agents=1", "algo.pql.warmup_steps=0", "algo.network.mlp_units=[8]"),
    ],
)
def test_other_ways_of_training_are_measured_too(overrides):
    loop, _ = trained(small(*overrides), 1)
    found = Evaluation(loop.cfg, make_env).measure(loop)
    assert found["eval/steps"] == 50


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("record.eval_interval=-1",), "record.eval_interval=-1: use 0 or more"),
        (("record.eval_episodes=0",), "record.eval_episodes=0: use at least 1"),
        (("engine=isaacgym",), "record.eval_interval=300: Isaac Gym holds one simulation"),
    ],
)
def test_impossible_evaluations_are_one_line(overrides, message: str):
    cfg = composed("task=ProbeReach", "algo=ppo", "record.eval_interval=300", *overrides)
    with pytest.raises(ConfigError, match=message):
        validate(cfg)
