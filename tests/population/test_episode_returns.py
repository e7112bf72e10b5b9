"""Returns of the episodes that ended since they were last asked for."""

from __future__ import annotations

import copy

import torch

from epo.envs import Step
from epo.population.fitness import FitnessTracker

CPU = torch.device("cpu")


def step(reward, done) -> Step:
    ended, nothing = torch.tensor(done), torch.zeros(len(done), 1)
    return Step(
        observation=nothing,
        reward=torch.tensor(reward),
        terminated=ended,
        truncated=torch.zeros_like(ended),
        final_observation=nothing,
        metrics={"fitness": torch.full((len(done),), float("nan"))},
        scalars={},
    )


def test_returns_are_counted_per_agent_and_taken_once():
    tracker = FitnessTracker(4, 2, CPU)
    tracker.update(step([1.0, 2.0, 3.0, 4.0], [False, True, False, False]))
    tracker.update(step([1.0, 5.0, 3.0, 4.0], [True, True, False, False]))
    found = tracker.take_returns()
    # agent 0: 2, then 1 + 1 and 5; agent 1: nothing ended
    assert found.total.tolist() == [9.0, 0.0] and found.num_episodes.tolist() == [3.0, 0.0]
    assert found.mean()[0].item() == 3.0 and found.mean()[1].isnan()
    tracker.update(step([0.0, 0.0, 1.0, 1.0], [False, False, True, False]))
    found = tracker.take_returns()
    assert found.total.tolist() == [0.0, 7.0] and found.num_episodes.tolist() == [0.0, 1.0]


def test_returns_not_yet_taken_survive_a_checkpoint():
    tracker, resumed = FitnessTracker(2, 1, CPU), FitnessTracker(2, 1, CPU)
    tracker.update(step([1.0, 2.0], [True, False]))
    state = copy.deepcopy(tracker.state_dict())
    resumed.load_state_dict(state)
    for each in (tracker, resumed):
        each.update(step([1.0, 2.0], [True, True]))
    assert resumed.take_returns() == tracker.take_returns()
    assert state["returns"].tolist() == [[1.0], [1.0]]
