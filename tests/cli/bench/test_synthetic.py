"""Environments that cost nothing: what the learner sees of them."""

from __future__ import annotations

from typing import List

import pytest
import torch

from epo.cli.bench.synthetic import RING, SyntheticEnv
from epo.envs import EnvSpec, Step
from epo.population import FitnessTracker

CPU = torch.device("cpu")
NUM_ENVS = 64


def make(done_probability: float = 0.1, seed: int = 0) -> SyntheticEnv:
    spec = EnvSpec("Task", "mujoco", NUM_ENVS, observation_dim=5, action_dim=3, control_dt_s=0.1)
    return SyntheticEnv(spec, CPU, seed, done_probability)


def steps(env: SyntheticEnv, number: int) -> List[Step]:
    action = torch.zeros(NUM_ENVS, 3)
    return [env.step(action) for _ in range(number)]


def test_step_has_the_shapes_of_the_task():
    env = make()
    (step,) = steps(env, 1)
    assert env.spec.engine == "synthetic"
    assert env.reset().shape == step.observation.shape == (NUM_ENVS, 5)
    for value in (step.reward, step.terminated, step.truncated, *step.metrics.values()):
        assert value.shape == (NUM_ENVS,)
    assert not (step.terminated & step.truncated).any()


@pytest.mark.parametrize("probability", [0.0, 0.1, 1.0])
def test_episodes_end_with_the_given_probability(probability: float):
    ends = torch.stack([step.terminated | step.truncated for step in steps(make(probability), 200)])
    # 264 different draws: one standard deviation of their share is 0.018 at 0.1.
    assert ends.float().mean().item() == pytest.approx(probability, abs=0.06)


def test_observation_changes_with_every_step():
    env = make()
    seen = [env.reset().clone(), *(step.observation for step in steps(env, 3))]
    assert len({float(observation.sum()) for observation in seen}) == 4


def test_same_seed_gives_the_same_episodes():
    first, second, other = (steps(make(seed=seed), 2)[-1] for seed in (0, 0, 1))
    assert torch.equal(first.observation, second.observation)
    assert torch.equal(first.terminated, second.terminated)
    assert not torch.equal(first.observation, other.observation)


def test_step_allocates_nothing():
    env = make()
    before, after = steps(env, 1)[0], steps(env, 1)[0]
    assert before.observation.untyped_storage().data_ptr() == (
        after.observation.untyped_storage().data_ptr()
    )


def test_ring_closes():
    env = make()
    first = steps(env, 1)[0].observation.clone()
    assert torch.equal(steps(env, RING)[-1].observation, first)


def test_state_continues_exactly():
    env, other = make(), make()
    steps(env, 7)
    other.load_state_dict(env.state_dict())
    assert torch.equal(steps(env, 1)[0].reward, steps(other, 1)[0].reward)


def test_agents_differ_in_fitness():
    tracker = FitnessTracker(NUM_ENVS, 4, CPU, "auto")
    for step in steps(make(0.5), 50):
        tracker.update(step)
    fitness = tracker.snapshot()
    assert bool(fitness.is_known.all()) and bool((fitness.fitness.diff() > 1.0).all())
