"""Collection: warm-up, what is stored, what is counted."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Optional

import pytest
import torch
from torch import Tensor

from epo.config import NormalizerCfg, PqlCfg
from epo.envs import EnvSpec, Step, VecEnv
from epo.learner.pql.collector import ReplayCollector
from epo.learner.pql.networks import Networks
from epo.learner.pql.replay import Replay
from epo.population import FitnessTracker
from epo.stopwatch import Stopwatch
from tests.host_reads import host_reads
from tests.learner.pql.small import CPU, point_mass

N = 6


def make_collector(env: Optional[VecEnv] = None, **settings: Any) -> ReplayCollector:
    """Build a collector whose policy always gives 0.5."""
    env = point_mass(N) if env is None else env
    cfg = PqlCfg(**{"warmup_steps": 2, "n_step": 1, "reward_scale": 1.0, **settings})
    normalizer = Networks(1, 1, [4], 1, NormalizerCfg()).normalizer
    return ReplayCollector(
        env,
        lambda observation: torch.full_like(observation, 0.5),
        normalizer,
        Replay(1000, N, 1, 1, env.device),
        FitnessTracker(N, 1, env.device),
        cfg,
        seed=0,
        stopwatch=Stopwatch(env.device),
    )


def rows(collector: ReplayCollector, name: str) -> Tensor:
    """What is stored, oldest first, a row per control step."""
    size = int(collector.replay.size)
    return collector.replay._rows[name][:size].view(-1, N, *collector.replay._rows[name].shape[1:])


def test_first_actions_are_random_and_then_the_policys_with_noise():
    collector = make_collector(min_sigma=0.0, max_sigma=0.0)
    for _ in range(4):
        collector.step()
    actions = rows(collector, "action")[..., 0]
    assert actions[:2].std() > 0.3 and actions[:2].abs().max() <= 1.0
    assert actions[2:].eq(0.5).all()


def test_learning_waits_for_the_warm_up_and_for_a_window():
    for warmup_steps, n_step, expected in (
        (2, 1, [False, False, True]),
        (0, 2, [False, False, True]),
        (0, 1, [False, True, True]),
    ):
        collector = make_collector(warmup_steps=warmup_steps, n_step=n_step)
        warm = []
        for _ in range(3):
            collector.step()
            warm.append(collector.is_warm)
        assert warm == expected


def test_raw_observations_and_scaled_rewards_are_stored():
    collector = make_collector(reward_scale=0.1)
    for _ in range(3):
        collector.step()
    before, after = rows(collector, "observation"), rows(collector, "next_observation")
    assert torch.equal(before[1], after[0])  # raw, and nothing in between is lost
    torch.testing.assert_close(rows(collector, "reward_sum"), -0.1 * after[..., 0].abs())


def test_final_observation_is_stored_where_an_episode_ended():
    collector = make_collector(point_mass(N, episode_length=2))
    for _ in range(3):
        collector.step()
    before, after = rows(collector, "observation"), rows(collector, "next_observation")
    assert not torch.equal(before[2], after[1])  # a new episode begins elsewhere
    # One step of 0.2 at most leads there from the last observation, a reset does not.
    assert (after[1] - before[1]).abs().max() <= 0.2 + 1e-6
    assert rows(collector, "bootstrap").eq(0.99).all()  # time limits do not end the future


def test_every_observation_acted_on_is_counted_once():
    collector = make_collector()
    for _ in range(5):
        collector.step()
    seen = rows(collector, "observation")
    assert float(collector.normalizer.count) == 1 + 5 * N
    total = float(seen.double().sum())
    assert float(collector.normalizer.mean * (1 + 5 * N)) == pytest.approx(total, abs=1e-6)


class LostEpisodes:
    """The point mass, but the actions of some steps are not what was acted on."""

    def __init__(self, invalid_at: int) -> None:
        self._env = point_mass(N)
        self.device = CPU
        self.spec: EnvSpec = dataclasses.replace(self._env.spec, has_invalid_steps=True)
        self._step, self._invalid_at = 0, invalid_at

    def reset(self) -> Tensor:
        return self._env.reset()

    def state_dict(self) -> Dict[str, Any]:
        return self._env.state_dict()

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        self._env.load_state_dict(state)

    def close(self) -> None:
        pass

    def step(self, action: Tensor) -> Step:
        self._step += 1
        valid = torch.full((N,), self._step != self._invalid_at)
        valid[0] = True
        return self._env.step(action)._replace(valid=valid)


def test_steps_that_are_no_experience_are_not_stored():
    collector = make_collector(LostEpisodes(invalid_at=3))
    for _ in range(5):
        collector.step()
    assert int(collector.replay.size) == 4 * N + 1


def test_collection_reads_nothing_from_the_device():
    collector = make_collector(LostEpisodes(invalid_at=3), n_step=3)
    collector.step()

    def work() -> None:
        for _ in range(5):
            collector.step()
        collector.read_scalars()

    assert not host_reads(work)


def test_restored_collector_goes_on_the_same():
    one, two = make_collector(n_step=3), make_collector(n_step=3)
    for _ in range(4):
        one.step()
    two.env.load_state_dict(one.env.state_dict())
    two.normalizer.load_state_dict(one.normalizer.state_dict())
    two.replay.load_state_dict(one.replay.state_dict(with_contents=True))
    two.load_state_dict(one.state_dict(), is_refilling=False)
    for collector in (one, two):
        for _ in range(12):
            collector.step()
    for name in one.replay._rows:
        assert torch.equal(rows(one, name), rows(two, name))
    assert str(one.read_scalars()) == str(two.read_scalars())


def test_refilling_collector_acts_by_its_policy_and_waits():
    one, two = make_collector(), make_collector(min_sigma=0.0, max_sigma=0.0)
    for _ in range(4):
        one.step()
    two.load_state_dict(one.state_dict(), is_refilling=True)
    assert not two.is_warm
    two.step()
    assert rows(two, "action").eq(0.5).all()  # not random again: there is a policy to see
    two.step()
    assert not two.is_warm
    two.step()
    assert two.is_warm
