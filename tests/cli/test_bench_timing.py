"""The stopwatch of the benches, with a clock that moves only where the work says so."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Dict, List

import pytest
import torch

from epo import stopwatch
from epo.cli.bench import timing
from epo.cli.bench.sim_timing import (
    load_fields,
    overflows,
    random_actions,
    time_physics,
    time_task,
    warm_up,
)
from epo.cli.bench.timing import rate, repeated_s, timed
from epo.stopwatch import Stopwatch
from tests.stand_in import replace_in

CPU = torch.device("cpu")
NUM_ENVS = 5
LOADS = ("mean", "p95", "max")


class Clock:
    """A clock that stands still unless told to move."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (stopwatch, timing):
        replace_in(module, "time.perf_counter", clock, monkeypatch)
    return clock


class Sim:
    """Physics that takes 3 s per step, and remembers what it was asked."""

    device, num_envs = CPU, NUM_ENVS
    joint_lower, joint_upper = torch.tensor([-0.1, 0.0]), torch.tensor([0.1, 0.05])

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ctrl = torch.zeros(NUM_ENVS, 2)
        self.num_steps = 0
        self.loaded_at: List[int] = []
        self.targets: List[torch.Tensor] = []
        self.counters = SimpleNamespace(read=self.counts)

    def step(self) -> None:
        self.clock.now += 3.0
        self.num_steps += 1
        self.targets.append(self.ctrl.clone())

    def counts(self) -> Dict[str, int]:
        return {
            "bad_worlds": 9,
            "contact_overflow": 2 * self.num_steps,
            "constraint_overflow": self.num_steps,
        }

    def state_dict(self) -> torch.Tensor:
        return self.ctrl.clone()

    def load_state_dict(self, state: torch.Tensor) -> None:
        self.loaded_at.append(self.num_steps)
        self.ctrl.copy_(state)


@dataclass(frozen=True)
class Ages:
    progress: torch.Tensor


class Env:
    """A task that adds 1 s of its own and 1 s of reset to each step of its physics."""

    device = CPU
    spec = SimpleNamespace(num_envs=NUM_ENVS, action_dim=2, choices=())
    cfg = SimpleNamespace(episode_length=10)

    def __init__(self, clock: Clock) -> None:
        self.clock, self.sim = clock, Sim(clock)
        self.episode = Ages(torch.zeros(NUM_ENVS, dtype=torch.int64))

    def step(self, action: torch.Tensor) -> SimpleNamespace:
        assert action.shape == (NUM_ENVS, 2) and action.abs().max() <= 1
        self.sim.step()
        self.clock.now += 1.0
        self.restart()
        return SimpleNamespace(scalars={"bad_worlds": torch.tensor(2.0)})

    def restart(self) -> None:
        self.clock.now += 1.0


def test_rate_is_median_least_and_greatest():
    # 12 in 2, 3 and 6 s: 6, 4 and 2 per second.
    assert rate(12, [2.0, 3.0, 6.0]) == (4.0, 2.0, 6.0)


def test_repeated_leaves_the_preparation_out(clock: Clock):
    def spend(seconds: float) -> None:
        clock.now += seconds

    assert repeated_s(CPU, 2, lambda: spend(3.0), lambda: spend(50.0)) == [3.0, 3.0]


def test_timed_counts_calls_and_leaves_the_owner_as_it_was(clock: Clock):
    env, stopwatch = Env(clock), Stopwatch(CPU)
    with timed(stopwatch, "reset", env, "restart"):
        env.restart()
        env.restart()
    env.restart()
    assert stopwatch.read() == {"reset": 2.0}
    assert env.restart.__func__ is Env.restart


def test_shares_add_up_to_the_whole_step(clock: Clock):
    env = Env(clock)
    row = time_task(env, random_actions(env, seed=0), num_steps=4, repetitions=3)
    # A step of 5 worlds takes 3 s of physics, 1 s of reset and 1 s of the rest.
    assert row["env_steps_per_s"] == pytest.approx(5 / 5)
    assert row["physics_share"] == pytest.approx(0.6)
    assert row["reset_share"] == pytest.approx(0.2)
    assert row["task_share"] == pytest.approx(0.2)
    assert env.sim.num_steps == 12


def test_physics_alone_begins_every_repetition_in_the_same_state(clock: Clock):
    env = Env(clock)
    row = time_physics(env, num_steps=4, repetitions=3, seed=0)
    assert row["physics_steps_per_s"] == pytest.approx(5 / 3)
    assert env.sim.loaded_at == [0, 4, 8]


def test_physics_alone_moves_every_target_within_its_limits(clock: Clock):
    env = Env(clock)
    time_physics(env, num_steps=20, repetitions=1, seed=0)
    targets = torch.stack(env.sim.targets)
    assert (targets >= Sim.joint_lower).all() and (targets <= Sim.joint_upper).all()
    assert (targets.std(0) > 0).all()


def test_warm_up_counts_its_own_faults_only(clock: Clock):
    env = Env(clock)
    env.step(torch.zeros(NUM_ENVS, 2))
    faults, seconds = warm_up(env, random_actions(env, seed=0), num_steps=6)
    assert faults == {
        "bad_worlds": 12,  # 2 in each of 6 steps
        "contact_overflow": 12,
        "constraint_overflow": 6,
        "overflow": 18,
        **dict.fromkeys(f"{name}_{what}" for name in ("contacts", "rows") for what in LOADS),
    }
    assert seconds == 30.0


def test_loads_are_shown_as_mean_95th_percentile_and_most():
    counts = [torch.arange(10), torch.arange(10, 20)]  # 0 to 19: 19 of 20 are at most 18
    found = load_fields("rows", counts)
    assert found == {"rows_mean": 9.5, "rows_p95": 18, "rows_max": 19}


def test_warm_up_spreads_the_ages_of_the_episodes(clock: Clock):
    env = Env(clock)
    warm_up(env, random_actions(env, seed=0), num_steps=1)
    # 5 episodes over a length of 10.
    assert env.episode.progress.tolist() == [0, 2, 4, 6, 8]


def test_engine_that_does_not_count_has_no_overflow():
    assert overflows(SimpleNamespace(sim=SimpleNamespace())) == {}
