"""Fitness tracking against the golden stream and hand-computed episodes."""

from __future__ import annotations

import math
from typing import Dict, List, Optional, Sequence

import pytest
import torch
from torch import Tensor

from epo.envs import Step
from epo.population.fitness import (
    Fitness,
    FitnessTracker,
    confidence_width,
    expected_range,
    fitness_range,
    gap_threshold,
    noise_threshold,
    range_quantile,
)
from tests.golden import golden

CPU = torch.device("cpu")
NAN = float("nan")


def make_step(
    done: Sequence[bool],
    metrics: Dict[str, Tensor],
    reward: Optional[Tensor] = None,
) -> Step:
    """Build the step of a task that is nothing but its ends of episodes."""
    ended = torch.tensor(done)
    nothing = torch.zeros(len(ended), 1)
    return Step(
        observation=nothing,
        reward=torch.ones(len(ended)) if reward is None else reward,
        terminated=ended,
        truncated=torch.zeros_like(ended),
        final_observation=nothing,
        metrics=metrics,
        scalars={},
    )


def feed(tracker: FitnessTracker, episodes: List[Dict[int, float]]) -> None:
    """Let the named environments end an episode with that fitness, one step per dict."""
    num_envs = tracker.num_agents * tracker.envs_per_agent
    for ends in episodes:
        values = [ends.get(env, NAN) for env in range(num_envs)]
        tracker.update(
            make_step([env in ends for env in range(num_envs)], {"fitness": torch.tensor(values)})
        )


def test_tracker_reproduces_own_block_fitness_of_golden_stream() -> None:
    data = golden("learner_ga.npz")
    num_agents, block = int(data["stream/blocks"]), int(data["stream/block"])
    tracker = FitnessTracker(num_agents * block, num_agents, CPU)
    for s in range(len(data["stream/frames"])):
        objective = torch.from_numpy(data["stream/objective"][s])
        tracker.update(make_step(data["stream/dones"][s].astype(bool), {"fitness": objective}))
        now = tracker.snapshot()
        in_window = torch.where(now.num_episodes > 0, now.fitness, NAN)
        expected = torch.from_numpy(data["stream/own_block_window"][s])
        torch.testing.assert_close(in_window, expected, atol=1e-10, rtol=0.0, equal_nan=True)
        # The mean over the environments that ended an episode.
        last = tracker.block_means()["fitness"]
        expected = torch.from_numpy(data["stream/own_block_last"][s])
        torch.testing.assert_close(last, expected, atol=1e-10, rtol=0.0, equal_nan=True)
        if data["stream/event"][s]:
            assert int(now.fitness.argmin()) == 0
            tracker.start_window()
            torch.testing.assert_close(tracker.snapshot().fitness, expected, atol=1e-10, rtol=0.0)


def test_fitness_changes_only_for_agents_whose_environments_end_an_episode() -> None:
    tracker = FitnessTracker(6, 3, CPU)
    feed(tracker, [{0: 1.0, 1: 2.0, 2: 3.0, 3: 5.0, 4: 7.0, 5: 9.0}])
    before = tracker.snapshot().fitness
    feed(tracker, [{2: 100.0}, {}])
    after = tracker.snapshot().fitness
    assert (before != after).tolist() == [False, True, False]


def test_snapshot_of_hand_computed_episodes() -> None:
    tracker = FitnessTracker(4, 2, CPU)
    feed(tracker, [{0: 1.0, 2: 4.0}, {0: 2.0, 1: 6.0}])
    now = tracker.snapshot()
    # Agent 0: episodes 1, 2, 6: mean 3, variance (4 + 1 + 9) / 2 = 7, error sqrt(7 / 3).
    assert now.fitness.tolist() == [3.0, 4.0]
    assert now.standard_error.tolist() == pytest.approx([math.sqrt(7 / 3), math.inf])
    assert now.num_episodes.tolist() == [3.0, 1.0]
    assert now.is_known.tolist() == [True, False]


def test_new_window_falls_back_on_last_episodes() -> None:
    tracker = FitnessTracker(4, 2, CPU)
    feed(tracker, [{0: 1.0, 1: 5.0, 2: 4.0, 3: 4.0}, {0: 2.0}])
    tracker.start_window()
    feed(tracker, [{3: 8.0}])
    now = tracker.snapshot()
    # Agent 0: last episodes 2 and 5: mean 3.5, variance 4.5, error sqrt(4.5 / 2) = 1.5.
    assert now.fitness.tolist() == [3.5, 8.0]
    assert now.standard_error.tolist() == [1.5, math.inf]
    assert now.num_episodes.tolist() == [0.0, 1.0]
    assert now.is_known.tolist() == [True, True]


def test_new_gene_is_unknown_until_its_own_episodes_end() -> None:
    tracker = FitnessTracker(4, 2, CPU)
    feed(tracker, [{0: 1.0, 1: 1.0, 2: 2.0, 3: 2.0}])
    tracker.start_window([0])
    assert tracker.snapshot().is_known.tolist() == [False, True]
    assert math.isnan(float(tracker.snapshot().fitness[0]))
    assert tracker.block_means()["fitness"].tolist() == [1.0, 2.0]
    feed(tracker, [{0: 3.0, 1: 4.0}])
    assert tracker.snapshot().is_known.tolist() == [True, True]
    assert tracker.snapshot().fitness.tolist() == [3.5, 2.0]


def test_block_means_are_unknown_before_the_first_episode() -> None:
    tracker = FitnessTracker(4, 2, CPU)
    assert tracker.block_means() == {}
    feed(tracker, [{}, {1: 6.0}])
    means = tracker.block_means()
    # The one episode of agent 0 has fitness 6, and 2 steps of reward 1; agent 1 has none.
    for name, expected in (("fitness", 6.0), ("episode_return", 2.0), ("episode_length", 2.0)):
        assert float(means[name][0]) == expected
        assert math.isnan(float(means[name][1]))
    assert tracker.known_counts().tolist() == [1, 0]
    feed(tracker, [{0: 0.0}])
    assert float(tracker.block_means()["fitness"][0]) == 3.0  # (0 + 6) / 2


def test_episode_return_sums_rewards_of_one_episode_only() -> None:
    tracker = FitnessTracker(2, 2, CPU, fitness_metric="episode_return")
    for reward, done in ((1.0, False), (2.0, True), (5.0, False), (7.0, True)):
        step = make_step(
            [done, False], {"fitness": torch.zeros(2)}, reward=torch.tensor([reward, 100.0])
        )
        tracker.update(step)
    # Episodes of 1 + 2 and 5 + 7: mean 7.5. Environment 1 never ends one.
    assert float(tracker.block_means()["episode_return"][0]) == 12.0
    assert math.isnan(float(tracker.block_means()["episode_return"][1]))
    assert float(tracker.snapshot().fitness[0]) == 7.5
    assert math.isnan(float(tracker.snapshot().fitness[1]))


def test_truncation_ends_an_episode_too() -> None:
    tracker = FitnessTracker(1, 1, CPU)
    step = make_step([False], {"fitness": torch.tensor([4.0])})
    tracker.update(step._replace(truncated=torch.tensor([True])))
    assert tracker.snapshot().fitness.tolist() == [4.0]


def test_snapshot_before_any_step_knows_nothing() -> None:
    now = FitnessTracker(4, 2, CPU).snapshot()
    assert now.fitness.isnan().all()
    assert not now.is_known.any()


def test_two_processes_reduce_to_the_fitness_of_one() -> None:
    whole, left, right = (FitnessTracker(n, 2, CPU) for n in (4, 2, 2))
    feed(whole, [{0: 1.0, 1: 5.0, 2: 2.0, 3: 8.0}, {1: 3.0}])
    feed(left, [{0: 1.0, 1: 2.0}, {}])
    feed(right, [{0: 5.0, 1: 8.0}, {0: 3.0}])
    sent: List[Tensor] = []

    def keep(sums: Tensor) -> Tensor:
        sent.append(sums)
        return sums

    right.snapshot(keep)
    together = left.snapshot(lambda sums: sums + sent[0])
    assert torch.equal(together.pack(), whole.snapshot().pack())


def test_fitness_survives_packing() -> None:
    now = Fitness(
        torch.tensor([1.0, NAN]),
        torch.tensor([0.5, math.inf]),
        torch.tensor([3.0, 0.0]),
        torch.tensor([True, False]),
    )
    back = Fitness.unpack(now.pack())
    assert back.is_known.dtype == torch.bool
    torch.testing.assert_close(back.pack(), now.pack(), equal_nan=True, atol=0.0, rtol=0.0)


def test_tracker_resumes_from_its_state() -> None:
    tracker, resumed = FitnessTracker(4, 2, CPU), FitnessTracker(4, 2, CPU)
    feed(tracker, [{0: 1.0, 3: 2.0}, {}])
    resumed.load_state_dict(tracker.state_dict())
    for each in (tracker, resumed):
        feed(each, [{0: 5.0, 1: 3.0}, {2: 1.0}])
    assert torch.equal(tracker.snapshot().pack(), resumed.snapshot().pack())
    for name, mean in tracker.block_means().items():
        assert torch.equal(mean, resumed.block_means()[name])  # all have ended an episode


def test_state_is_a_copy() -> None:
    tracker = FitnessTracker(2, 1, CPU)
    feed(tracker, [{0: 1.0}])
    state = tracker.state_dict()
    window = state["window"].clone()
    feed(tracker, [{0: 9.0, 1: 9.0}])
    assert torch.equal(state["window"], window)


def test_tracker_never_reads_a_tensor_on_the_host() -> None:
    # Tensors on "meta" have no numbers: any `.item()` or `bool(tensor)` would raise.
    meta = torch.device("meta")
    tracker, value = FitnessTracker(8, 4, meta), torch.zeros(8, device=meta)
    done = torch.zeros(8, dtype=torch.bool, device=meta)
    with pytest.raises(RuntimeError):
        bool(done.any())
    for _ in range(2):
        tracker.update(Step(value, value, done, done, value, {"fitness": value}, {}))
    assert tracker.snapshot().pack().shape == (4, 4)
    assert tracker.block_means()["fitness"].shape == (4,)
    tracker.start_window()


def test_unequal_blocks_are_refused() -> None:
    with pytest.raises(ValueError, match=r"num_envs=10 is not a multiple of num_agents=4.*=8"):
        FitnessTracker(10, 4, CPU)


def test_unknown_fitness_metric_is_refused_with_the_choices() -> None:
    tracker = FitnessTracker(1, 1, CPU, fitness_metric="score")
    with pytest.raises(ValueError, match=r"fitness_metric=score.*episode_return, fitness"):
        feed(tracker, [{0: 1.0}])


@pytest.mark.parametrize(
    ("num_agents", "published"), [(2, 1.128), (8, 2.847), (16, 3.532), (32, 4.139), (64, 4.69)]
)
def test_expected_range_matches_the_published_table(num_agents: int, published: float) -> None:
    # Table of d2 of quality control, to three decimals; K = 64 from algorithms.md 4.4.
    assert expected_range(num_agents) == pytest.approx(published, abs=6e-3)


def test_gap_threshold_of_hand_example() -> None:
    # Median of 1, 2, 4, 9 is 3: 0.2 * 3 = 0.6. An unknown fitness does not count.
    fitness = torch.tensor([9.0, 1.0, NAN, 4.0, 2.0])
    assert gap_threshold(fitness, ratio=0.2, floor=0.5) == pytest.approx(0.6)
    assert fitness_range(fitness) == 8.0


@pytest.mark.parametrize(("median", "expected"), [(0.0, 0.1), (0.3, 0.1), (-4.0, 0.8)])
def test_gap_threshold_guards_small_and_negative_medians(median: float, expected: float) -> None:
    # 0.2 * max(|median|, 0.5).
    fitness = torch.tensor([median - 1.0, median, median + 1.0])
    assert gap_threshold(fitness, ratio=0.2, floor=0.5) == pytest.approx(expected)


def test_noise_threshold_is_passed_by_chance_in_few_populations_of_equals() -> None:
    generator = torch.Generator().manual_seed(0)
    fitness = torch.randn(500, 64, generator=generator) * 0.3
    least = noise_threshold(torch.full((64,), 0.3), factor=1.5)
    assert least == pytest.approx(1.5 * 4.69 * 0.3, rel=2e-3)
    spread = fitness.max(dim=1).values - fitness.min(dim=1).values
    # The range of 64 normals has a standard deviation near 0.6 around 4.7: 7.0 is 3.8 away.
    assert int((spread > least).sum()) <= 2


def test_noise_threshold_is_infinite_while_an_error_is_unknown() -> None:
    assert noise_threshold(torch.tensor([0.1, math.inf]), factor=1.5) == math.inf
    assert noise_threshold(torch.tensor([0.1, math.inf]), factor=0.0) == 0.0


@pytest.mark.parametrize(
    ("num_agents", "level", "quantile"),
    # Tables of the studentised range for infinite degrees of freedom.
    [(2, 0.95, 2.772), (3, 0.95, 3.314), (10, 0.95, 4.474), (3, 0.99, 4.120)],
)
def test_range_quantile_equals_the_tables(num_agents: int, level: float, quantile: float) -> None:
    assert range_quantile(num_agents, level) == pytest.approx(quantile, abs=1e-3)


def test_confidence_width_scales_with_the_error() -> None:
    width = confidence_width(torch.tensor([2.0, 2.0, 2.0]), level=0.95)
    assert width == pytest.approx(2.0 * 3.314, abs=2e-3)


def test_fitness_is_the_objective_that_the_task_names() -> None:
    tracker = FitnessTracker(1, 1, CPU, "auto", ("fitness", "doors"), "doors")
    assert tracker.fitness_metric == "doors"
    with pytest.raises(ValueError, match=r"fitness_metric=windows.*doors"):
        FitnessTracker(1, 1, CPU, "windows", ("fitness", "doors"), "doors")
