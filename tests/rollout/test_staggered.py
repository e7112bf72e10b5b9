"""Staggered starts: drawn once per run, spread within every block, and no result."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

import pytest
import torch
from torch import Tensor

from epo.config import Config, ConfigError
from epo.envs import ClockedEnv, VecEnv
from epo.learner.metrics import MetricMeans
from epo.population.fitness import FitnessTracker
from epo.record.csv import rows
from epo.rollout.staggered import draw_clocks, stagger
from epo.runner import checkpoint
from epo.runner.run import run
from tasks import registry
from tasks.probes.config import ProbeCfg
from tasks.probes.env import Probe, make_probe
from tests.composed import REPOSITORY, composed
from tests.learner.small_run import small_cfg, small_run

CPU = torch.device("cpu")
RUN = [
    "task=ProbeReach",
    "device=cpu",
    "num_envs=40",
    "num_agents=2",
    "staggered_starts=true",
    "algo.network.kind=mlp",
    "algo.network.mlp_units=[8]",
    "algo.ppo.bootstrap_truncated=true",
    "algo.ppo.num_minibatches=2",
    "record.console=off",
    "record.tensorboard=false",
]


def draw(num_envs: int, num_agents: int, time_limit: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return draw_clocks(num_envs, num_agents, time_limit, generator)


@pytest.mark.parametrize(("num_envs", "num_agents"), [(600, 6), (100, 1), (64, 64)])
def test_clocks_are_spread_evenly_over_every_block(num_envs: int, num_agents: int):
    block, limit = num_envs // num_agents, 1000
    clocks = draw(num_envs, num_agents, limit).view(num_agents, block)
    # The n-th smallest clock of a block lies in the n-th of its equal strata.
    stratum = clocks.sort(dim=1).values * block // limit
    assert torch.equal(stratum, torch.arange(block).expand(num_agents, -1))
    if block > 10:
        assert not torch.equal(clocks, clocks.sort(dim=1).values)
        assert float(clocks.double().std() / limit) == pytest.approx(12**-0.5, abs=0.01)


def test_clocks_fit_a_short_limit_and_depend_on_the_seed_alone():
    for limit in (1, 3):
        clocks = draw(50, 2, limit)
        assert clocks.min() == 0 and clocks.max() == limit - 1
    state = torch.get_rng_state()
    assert torch.equal(draw(40, 2, 99), draw(40, 2, 99))
    assert not torch.equal(draw(40, 2, 99), draw(40, 2, 99, seed=1))
    assert torch.equal(torch.get_rng_state(), state)


def late_probe(probe: str, clocks: List[int], length: int = 4) -> Probe:
    env = make_probe(ProbeCfg(probe=probe, episode_length=length), len(clocks), CPU, seed=0)
    env.start_late(torch.tensor(clocks))
    return env


def test_probe_observes_the_late_clock_and_cuts_the_first_episode_only():
    env = late_probe("discount", [0, 1, 3])
    assert isinstance(env, ClockedEnv)
    assert env.reset()[:, 0].tolist() == [0.0, 0.25, 0.75]
    ends, partial = [], []
    for _ in range(8):
        step = env.step(torch.zeros(3, 1))
        ends.append(step.terminated.tolist())
        assert step.is_partial is not None
        partial.append(step.is_partial.tolist())
    # 4, 3 and 1 steps, then 4 each.
    assert [[t for t in range(8) if ends[t][i]] for i in range(3)] == [[3, 7], [2, 6], [0, 4]]
    # An episode that begins at clock 0 is whole.
    assert [sum(row[i] for row in partial) for i in range(3)] == [0, 3, 1]
    assert env.reset()[:, 0].tolist() == [0.0, 0.0, 0.0]  # late once


def test_state_holds_clocks_and_partial_episodes():
    env = late_probe("reach", [0, 3, 8, 5], length=10)
    env.reset()
    zero = torch.zeros(4, 2)
    env.step(zero)
    copy = make_probe(ProbeCfg(probe="reach", episode_length=10), 4, CPU, seed=7)
    copy.reset()
    copy.load_state_dict(env.state_dict())
    for _ in range(12):
        ours, theirs = env.step(zero), copy.step(zero)
        assert torch.equal(ours.truncated, theirs.truncated)
        assert ours.is_partial is not None and theirs.is_partial is not None
        assert torch.equal(ours.is_partial, theirs.is_partial)


def test_first_episodes_are_no_result():
    env = late_probe("reach", [0, 2, 0, 3])  # two agents
    tracker = FitnessTracker(4, 2, CPU, "episode_length")
    env.reset()
    for _ in range(4):
        tracker.update(env.step(torch.zeros(4, 2)))
    # Environments 1 and 3 have ended an episode of 2 and 1 steps, and none of 4 since.
    assert tracker.block_means()["episode_length"].tolist() == [4.0, 4.0]
    assert tracker.known_counts().tolist() == [1, 1]
    assert tracker.snapshot().fitness.tolist() == [4.0, 4.0]
    assert tracker.take_returns()[1].tolist() == [1.0, 1.0]  # how many
    for _ in range(3):
        tracker.update(env.step(torch.zeros(4, 2)))
    assert tracker.known_counts().tolist() == [2, 2]
    assert tracker.block_means()["episode_length"].tolist() == [4.0, 4.0]


def test_artificial_cut_is_bootstrapped():
    cfg = small_cfg()
    cfg.ppo.bootstrap_truncated = True
    late = small_run(cfg)  # built to reset; then anew, late
    late.env.start_late(torch.tensor([3] * 8))  # type: ignore[attr-defined]
    late.collector._rollout.observation[-1].copy_(late.env.reset())
    rollout = late.collector.collect()
    assert rollout.terminal_value is not None
    assert rollout.is_first[1].all() and rollout.terminal_value[0].all()
    batch = late.learner.begin(rollout, None, MetricMeans()).batch
    # gae with lambda: a sequence that is cut after one step has target r + gamma V(final).
    target = late.model.denormalize_value(batch.target)[0]
    expected = rollout.reward[0] + cfg.ppo.gamma * rollout.terminal_value[0]
    torch.testing.assert_close(target, expected)


def test_spread_of_the_clocks_is_a_metric():
    together = make_probe(ProbeCfg(episode_length=10), 1000, CPU, seed=0)
    together.reset()
    spread = make_probe(ProbeCfg(episode_length=10), 1000, CPU, seed=0)
    stagger(spread, 1, seed=0)
    spread.reset()
    zero = torch.zeros(1000, 2)
    for _ in range(7):
        assert float(together.step(zero).scalars["clock_spread"]) < 1e-6
        found = float(spread.step(zero).scalars["clock_spread"])
        assert found == pytest.approx(12**-0.5, abs=0.01)


class Starts:
    """Builds environments and notes how they were told to start."""

    def __init__(self) -> None:
        self.clocks: List[Tensor] = []

    def __call__(self, cfg: Config) -> VecEnv:
        device = torch.device(cfg.device)
        env = registry.make(cfg.task, cfg.engine, cfg.num_envs, device, cfg.seed, cfg.num_agents)
        start_late = env.start_late  # type: ignore[attr-defined]

        def noting(elapsed: Tensor) -> None:
            self.clocks.append(elapsed)
            start_late(elapsed)

        env.start_late = noting  # type: ignore[attr-defined]
        return env


def last_state(run_dir: Path) -> Dict[str, Any]:
    return checkpoint.load(run_dir / "checkpoints" / "last.pt")


def test_run_draws_once_and_resumes_exactly(tmp_path: Path):
    drawn: Dict[str, Starts] = {}
    for name, parts in (("whole", [4]), ("resumed", [2, 4])):
        drawn[name] = Starts()
        for end in parts:
            words = [*RUN, "algo=sapg", f"run_dir={tmp_path / name}", "resume=auto"]
            assert run(composed(*words, f"max_iterations={end}"), drawn[name]) == 0
    assert len(drawn["whole"].clocks) == len(drawn["resumed"].clocks) == 1
    assert torch.equal(drawn["whole"].clocks[0], drawn["resumed"].clocks[0])
    ours, theirs = (last_state(tmp_path / name) for name in drawn)
    for name, value in ours["model"].items():
        assert torch.equal(value, theirs["model"][name]), name
    assert torch.equal(ours["env"]["elapsed"], theirs["env"]["elapsed"])
    first = next(iter(rows(tmp_path / "whole" / "metrics.csv")))
    assert float(first["clock_spread"]) == pytest.approx(12**-0.5, abs=0.03)


@pytest.mark.parametrize("algo", ["ppo", "epo", "pbt", "pql"])
def test_clocks_are_the_same_for_all_algorithms(algo: str, tmp_path: Path):
    starts = Starts()
    words = [*RUN[:3], "staggered_starts=true", *RUN[5:], "num_agents=1"]
    words += ["algo.pql.warmup_steps=1"] if algo == "pql" else []
    run(composed(*words, f"algo={algo}", f"run_dir={tmp_path / algo}", "max_iterations=1"), starts)
    expected = make_probe(ProbeCfg(episode_length=50), 40, CPU, seed=0)
    stagger(expected, 1, seed=_seed())
    late = expected.episodes._late
    assert late is not None and torch.equal(starts.clocks[0], late)


def _seed() -> int:
    from epo.runner.seeds import derive_seed

    return derive_seed(0, "staggered starts")


def test_only_a_run_that_begins_draws():
    # Evaluation, play, export and benchmarks build the same environments and leave them alone.
    env = Starts()(composed(*RUN, "algo=sapg"))
    env.reset()
    step = env.step(torch.zeros(40, 2))
    assert step.is_partial is not None and not step.is_partial.any()
    callers = [
        str(path.relative_to(REPOSITORY))
        for path in sorted(REPOSITORY.glob("epo/**/*.py"))
        if "epo.rollout.staggered" in path.read_text()
    ]
    assert callers == ["epo/cli/bench/learn_timing.py", "epo/runner/run.py"]  # of a whole run


def test_setting_belongs_to_the_first_frame(tmp_path: Path):
    words = [*RUN, "algo=sapg", f"run_dir={tmp_path / 'run'}"]
    run(composed(*words, "max_iterations=1"), Starts())
    later = [word for word in words if not word.startswith("staggered")]
    with pytest.raises(ConfigError, match="staggered_starts=False, was True"):
        run(composed(*later, "max_iterations=2", "resume=auto"), Starts())


def test_environments_without_a_clock_are_refused():
    class Unclocked:
        spec = make_probe(ProbeCfg(), 2, CPU, seed=0).spec

    with pytest.raises(ConfigError, match=r"staggered_starts=true: the clock of .* cannot be set"):
        stagger(Unclocked(), 1, seed=0)  # type: ignore[arg-type]
