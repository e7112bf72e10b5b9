"""Training by Q-learning: iterations, resuming, acting, what is refused, and that it learns."""

from __future__ import annotations

import json
import math
import signal
import time
from pathlib import Path
from typing import Any, Dict, List, Mapping

import pytest
import torch
from torch import Tensor

from epo.config import Config, ConfigError
from epo.envs import EnvSpec, VecEnv
from epo.record.recorder import Recorder
from epo.runner import checkpoint
from epo.runner.checkpoint import CheckpointError
from epo.runner.evaluator import Evaluator, averages
from epo.runner.evaluator import load_policy as load_any_policy
from epo.runner.pql import ActorPolicy, PQLLoop, check_spec, load_policy
from epo.runner.run import make_loop, run
from epo.validation import validate
from tasks import registry
from tests.composed import composed
from tests.host_reads import host_reads
from tests.integration.command import TIMES, rows, start, train
from tests.learner.pql.small import point_mass

SMALL = (
    "task=ProbeReach",
    "device=cpu",
    "num_envs=16",
    "num_agents=1",
    "algo.network.mlp_units=[16]",
    "algo.pql.batch_size=32",
    "algo.pql.replay_capacity=200",  # the ring wraps after 13 control steps
    "algo.pql.warmup_steps=8",
    "algo.pql.horizon=4",
)
WARM = 2
"""Iterations of the warm-up."""


def make_env(cfg: Config) -> VecEnv:
    return registry.make(cfg.task, cfg.engine, cfg.num_envs, torch.device(cfg.device), cfg.seed, 1)


def make(*overrides: str, algo: str = "pql") -> PQLLoop:
    cfg = composed(*SMALL, f"algo={algo}", *overrides)
    loop = make_loop(cfg, make_env(cfg), Recorder([]))
    assert isinstance(loop, PQLLoop)
    return loop


def iterate(loop: PQLLoop, num: int) -> List[Mapping[str, float]]:
    return [untimed(loop.iterate()) for _ in range(num)]


def untimed(row: Mapping[str, float]) -> Dict[str, Any]:
    """Leave out what the clock says; NaN becomes a word, so that rows can be compared."""
    return {
        name: "nan" if math.isnan(value) else value
        for name, value in row.items()
        if name not in TIMES
    }


def through_a_file(state: Dict[str, Any], tmp_path: Path) -> Dict[str, Any]:
    checkpoint.save(tmp_path / "state.pt", state)
    return checkpoint.load(tmp_path / "state.pt")


def flat(state: Any, name: str = "") -> Dict[str, Any]:
    """Return every leaf of nested containers by its path."""
    if isinstance(state, (dict, list, tuple)):
        items = state.items() if isinstance(state, dict) else enumerate(state)
        return {k: v for key, value in items for k, v in flat(value, f"{name}/{key}").items()}
    return {name: state}


def assert_same(one: Dict[str, Any], other: Dict[str, Any]) -> None:
    ours, theirs = flat(one), flat(other)
    assert set(ours) == set(theirs)
    for name, value in ours.items():
        if name == "/wall_s":
            continue
        if isinstance(value, Tensor):
            assert torch.equal(value.nan_to_num(7.0), theirs[name].nan_to_num(7.0)), name
        else:
            assert value == theirs[name], name


def test_every_control_step_after_the_warm_up_brings_its_updates():
    loop = make()
    rows = iterate(loop, WARM + 3)
    assert loop.frames == (WARM + 3) * 4 * 16
    assert loop.learner.critic_updates == 3 * 4 * 8
    assert loop.learner.actor_updates == 3 * 4 * 4
    assert [row["updates/critic"] for row in rows] == [0, 0, 8, 8, 8]
    assert [row["updates/actor"] for row in rows] == [0, 0, 4, 4, 4]
    assert rows[-1]["updates/reuse"] == 8 * 32 / 16
    assert rows[-1]["replay/size"] == 200


@pytest.mark.parametrize("algo", ["pql", "pql_d"])
def test_row_has_the_columns_of_the_algorithm(algo):
    row = iterate(make("task.episode_length=8", algo=algo), WARM + 1)[-1]
    required = (
        "loss/critic loss/actor q/mean q/td_error q/head_gap q/target_min q/target_max "
        "action/saturation exploration/return_quartile_1 exploration/return_quartile_4 "
        "exploration/sigma updates/critic updates/actor updates/reuse replay/age replay/size "
        "grad_norm/critic grad_norm/actor leader/episode_return leader/successes leader/fitness"
    )
    assert set(required.split()) <= set(row)
    assert ("q/edge_high" in row) == (algo == "pql_d")
    assert all(math.isfinite(row[name]) for name in required.split())


def test_fitness_is_not_a_mean_over_the_whole_run():
    loop = make("task.episode_length=2", "algo.evolution.interval_frames=128")  # 2 iterations
    episodes = []
    for _ in range(4):
        loop.iterate()
        episodes.append(int(loop.tracker.snapshot().num_episodes))
    # 16 environments end two episodes each in 4 steps.
    assert episodes == [32, 0, 32, 0]


@pytest.mark.parametrize("algo", ["pql", "pql_d"])
def test_resumed_run_equals_uninterrupted_run(algo, tmp_path):
    more = ("algo.pql.save_replay=true", "algo.pql.policy_lag=3", "algo.pql.critic_updates=1.7")
    whole, first = make(*more, algo=algo), make(*more, algo=algo)
    rows = iterate(whole, WARM + 4)
    iterate(first, WARM + 1)
    second = make(*more, algo=algo)
    second.load_state_dict(through_a_file(first.state_dict(), tmp_path))
    assert iterate(second, 3) == rows[-3:]
    assert_same(second.state_dict(), whole.state_dict())


def test_run_resumed_during_the_warm_up_equals_uninterrupted_run(tmp_path):
    whole, first, second = (make("algo.pql.save_replay=true") for _ in range(3))
    rows = iterate(whole, WARM + 1)
    iterate(first, 1)
    second.load_state_dict(through_a_file(first.state_dict(), tmp_path))
    assert iterate(second, WARM) == rows[1:]


def test_without_saved_replay_a_resumed_run_refills_it_first(tmp_path):
    first, second = make(), make()
    iterate(first, WARM + 2)
    state = through_a_file(first.state_dict(), tmp_path)
    assert state["replay"] == {}
    second.load_state_dict(state)
    before = {name: value.clone() for name, value in second.networks.actor.state_dict().items()}
    rows = iterate(second, WARM)
    assert [row["updates/critic"] for row in rows] == [0, 0]
    after = second.networks.actor.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert iterate(second, 1)[0]["updates/critic"] == 8
    assert second.collector.num_steps == (WARM + 2 + WARM + 1) * 4


def test_saved_replay_of_another_capacity_is_refused(tmp_path):
    first = make("algo.pql.save_replay=true")
    iterate(first, 1)
    second = make("algo.pql.save_replay=true", "algo.pql.replay_capacity=300")
    with pytest.raises(ValueError, match=r"replay_capacity=200"):
        second.load_state_dict(through_a_file(first.state_dict(), tmp_path))


def test_iteration_reads_nothing_from_the_device():
    loop = make()
    iterate(loop, WARM)
    assert not host_reads(loop.advance)


def test_streams_of_components_are_their_own():
    """How far actions stray changes neither the weights at the start nor what is drawn later."""
    one, other = make(), make("algo.pql.exploration=linear")
    for name, weight in one.networks.state_dict().items():
        assert torch.equal(weight, other.networks.state_dict()[name])
    iterate(one, WARM)
    iterate(other, WARM)
    assert torch.equal(one.learner.generator.get_state(), other.learner.generator.get_state())


def test_checkpoint_of_a_policy_acts_as_the_run_does(tmp_path):
    loop = make()
    iterate(loop, WARM + 1)
    state = through_a_file({"iteration": 3, **loop.policy_state()}, tmp_path)
    path = tmp_path / "best.pt"
    policy = load_any_policy(loop.cfg.algo, 1, state, path, loop.env, [0], None)
    assert isinstance(policy, ActorPolicy)
    observation = loop.env.reset()
    action = policy.act(observation, torch.ones(16, dtype=torch.bool))
    assert torch.equal(action, loop.learner.act(observation))
    assert torch.equal(action, policy.act(observation, torch.zeros(16, dtype=torch.bool)))


def test_policy_of_another_network_is_refused(tmp_path):
    loop = make()
    cfg = composed(*SMALL, "algo=pql", "algo.network.mlp_units=[9]")
    with pytest.raises(CheckpointError, match="its network does not fit"):
        load_policy(cfg.algo, loop.policy_state(), tmp_path / "best.pt", loop.env)


def test_start_weights_reach_a_lagging_policy():
    source, loop = make(), make("algo.pql.policy_lag=5", "seed=3")
    loop.load_policy(source.policy_state())
    observation = loop.env.reset()
    assert torch.equal(loop.learner.act(observation), source.learner.act(observation))


RUN = (*SMALL, "algo=pql", "record.console=off", "record.tensorboard=false")


def run_in(run_dir: Path, *overrides: str) -> int:
    return run(composed(*RUN, *overrides, f"run_dir={run_dir}"), make_env)


def test_run_folder_can_be_resumed_and_says_the_same(tmp_path):
    more = "algo.pql.save_replay=true"
    run_in(tmp_path / "whole", more, "max_iterations=5")
    run_in(tmp_path / "parts", more, "max_iterations=3")
    run_in(tmp_path / "parts", more, "max_iterations=5", "resume=auto")
    assert rows(tmp_path / "whole") == rows(tmp_path / "parts")
    one, other = (
        checkpoint.load(tmp_path / name / "checkpoints/last.pt") for name in ("whole", "parts")
    )
    assert_same(one, other)
    assert json.loads((tmp_path / "parts/summary.json").read_text())["status"] == "finished"


def test_start_weights_of_another_kind_of_network_are_refused(tmp_path):
    common = [line for line in RUN if "pql" not in line]
    ppo = ("algo=ppo", "algo.network.kind=mlp", "algo.ppo.num_minibatches=2")
    run(composed(*common, *ppo, f"run_dir={tmp_path / 'ppo'}", "max_iterations=1"), make_env)
    weights = f"checkpoint={tmp_path / 'ppo/checkpoints/last.pt'}"
    with pytest.raises(CheckpointError, match="its network does not fit"):
        run_in(tmp_path / "pql", weights, "max_iterations=1")


@pytest.mark.slow
def test_killed_and_resumed_run_equals_uninterrupted_run(tmp_path: Path):
    command = [*RUN, "algo.pql.save_replay=true", "record.checkpoint_interval=3"]
    train([*command, "max_iterations=12", "run_dir=whole"], tmp_path)
    process = start([*command, "max_iterations=100000", "run_dir=killed"], tmp_path)
    while process.poll() is None:
        metrics = tmp_path / "killed/metrics.csv"
        if metrics.exists() and metrics.read_bytes().count(b"\n") > 8:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.02)  # The run has the core meanwhile.
    process.communicate(timeout=60)
    train([*command, "max_iterations=12", "resume=killed"], tmp_path)
    assert rows(tmp_path / "whole") == rows(tmp_path / "killed")


REFUSED = [
    (("num_agents=4",), r"num_agents=4: algo=pql has no population"),
    (("algo.network.kind=lstm",), r"algo\.network\.kind=lstm: .* needs mlp"),
    (("algo.evolution.enabled=true",), r"algo\.evolution\.enabled=True: .* use false"),
    (("algo.aggregation.mode=symmetric",), r"algo\.aggregation\.mode=symmetric: .* use none"),
    (("algo.pql.critic=c51",), r"algo\.pql\.critic=c51: unknown \(choices: double, distrib"),
    (("algo.pql.batch_size=many",), r"algo\.pql\.batch_size=many: use a whole number"),
    (("algo.pql.replay_capacity=1.5",), r"algo\.pql\.replay_capacity=1\.5: use a whole number"),
    (("algo.pql.replay_capacity=0",), r"algo\.pql\.replay_capacity=0: .* at least 1, or auto"),
    (("algo.pql.max_sigma=0.01",), r"algo\.pql\.max_sigma=0\.01: use at least min_sigma=0\.05"),
    (
        ("algo.pql.exploration=exponential", "algo.pql.min_sigma=0"),
        r"algo\.pql\.min_sigma=0\.0: .* use more than 0",
    ),
    (("algo.pql.value_range=[1,1]",), r"algo\.pql\.value_range=\[1\.0, 1\.0\]: give"),
    (("algo.pql.value_range=[1]",), r"algo\.pql\.value_range=\[1\.0\]: give"),
    (("algo.pql.num_atoms=1",), r"algo\.pql\.num_atoms=1: use at least 2"),
    (("algo.pql.gamma=1.1",), r"algo\.pql\.gamma=1\.1: use a number from 0 to 1"),
    (("algo.pql.n_step=0",), r"algo\.pql\.n_step=0: use at least 1"),
]


@pytest.mark.parametrize(("overrides", "message"), REFUSED, ids=lambda item: str(item)[:40])
def test_impossible_settings_are_refused_by_name(overrides, message):
    with pytest.raises(ConfigError, match=message):
        validate(composed("algo=pql", *overrides))


def test_rules_of_minibatches_are_not_its_rules():
    # algo.ppo.num_minibatches is 4.
    validate(composed("algo=pql", "num_envs=2"))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"choices": (2,)}, r"algo\.trainer=pql: CartPole has discrete actions"),
        ({"num_envs": 1}, r"num_envs=1: .* use at least 2"),
    ],
)
def test_tasks_that_do_not_fit_are_refused(spec, message):
    fields = {"num_envs": 8, "observation_dim": 4, "action_dim": 1, "control_dt_s": 0.02, **spec}
    with pytest.raises(ConfigError, match=message):
        check_spec(composed("algo=pql").algo, EnvSpec("CartPole", "gymnasium", **fields))


LEARNERS = (
    ("algo=pql",),
    pytest.param(("algo=pql_d",), marks=pytest.mark.slow),
    pytest.param(
        ("algo=pql_d", "algo.pql.distributional_loss=elementwise_min_bce"), marks=pytest.mark.slow
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("algo", LEARNERS, ids=str)
def test_point_mass_on_a_line_is_solved(algo):
    cfg = composed(
        *("task=ProbeReach", "device=cpu", "num_agents=1", "num_envs=32", *algo),
        *("algo.network.mlp_units=[32,32]", "algo.pql.reward_scale=1", "algo.pql.gamma=0.9"),
        *("algo.pql.batch_size=128", "algo.pql.replay_capacity=10000", "algo.pql.num_atoms=21"),
        "algo.pql.learning_rate=2e-3",
    )
    loop = PQLLoop(cfg, point_mass(32), Recorder([]))
    for _ in range(6):
        loop.iterate()
    # 101 starts from -1 to 1, ten steps without noise.
    start = torch.linspace(-1.0, 1.0, 101)
    position, total = start.clone(), torch.zeros(101)
    for _ in range(10):
        action = loop.networks.act(position.unsqueeze(-1))[:, 0]
        position = (position + 0.2 * action).clamp(-1.0, 1.0)
        total -= position.abs()
    # Straight home: |x| - 0.2 k after k steps. On average -0.61; doing nothing gives -5.
    best = -sum((start.abs() - 0.2 * k).clamp(min=0.0) for k in range(1, 11))
    # Measured with five seeds: at most 0.37 and 0.05.
    assert float((best - total).mean()) < 0.6
    assert position.abs().max() < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("algo", ["pql", "pql_d"])
def test_reach_is_solved_without_noise(algo):
    cfg = composed(
        *("task=ProbeReach", f"algo={algo}", "device=cpu", "num_agents=1", "num_envs=64"),
        *("algo.network.mlp_units=[64,64]", "algo.pql.reward_scale=1", "algo.pql.gamma=0.95"),
    )
    loop = PQLLoop(cfg, make_env(cfg), Recorder([]))
    for _ in range(28):
        loop.iterate()
    env = make_env(composed("task=ProbeReach", "device=cpu", "num_envs=128", "seed=7"))
    evaluator = Evaluator(env, ActorPolicy(loop.networks))
    for _ in range(50):
        evaluator.step()
    assert len(evaluator.episodes) == 128
    # Steering straight at it reaches 5 to 7 goals in 50 steps, random actions less than one.
    assert averages(evaluator.episodes)["successes"] > 4.5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_iteration_never_waits_for_cuda():
    loop = make("device=cuda")
    iterate(loop, WARM + 1)
    torch.cuda.set_sync_debug_mode("error")
    try:
        loop.advance()
    finally:
        torch.cuda.set_sync_debug_mode("default")
