"""Our dynamics beside Gymnasium's, transition by transition."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple

import numpy as np
import pytest
import torch

from tests.tasks.classic.worlds import make

gymnasium = pytest.importorskip("gymnasium")

NUM_STEPS = 200


class Pair(NamedTuple):
    """A task here and there.

    Attributes:
        env_id: Gymnasium's.
        high: of random states, half their range.
        center: middle of that range.
        to_env: from our action to theirs.
        actions: that are tried.
        has_reward: whether rewards and ends are theirs too.
    """

    env_id: str
    high: List[float]
    center: List[float]
    to_env: Callable[[float], Any]
    actions: List[float]
    has_reward: bool = True


def as_force(action: float) -> np.ndarray:
    return np.array([action])


CONTINUOUS = [-1.0, -0.3, 0.0, 0.45, 1.0]
PAIRS: Dict[str, Pair] = {
    "MountainCarContinuous": Pair(
        "MountainCarContinuous-v0", [0.9, 0.07], [-0.3, 0.0], as_force, CONTINUOUS
    ),
    "Pendulum": Pair(
        "Pendulum-v1", [9.0, 8.0], [0.0, 0.0], lambda a: np.array([2.0 * a]), CONTINUOUS
    ),
    "Acrobot": Pair("Acrobot-v1", [3.14, 3.14, 12.5, 28.0], [0.0] * 4, int, [0.0, 1.0, 2.0]),
    "CartPoleSwingUp": Pair(
        "CartPole-v1", [2.4, 5.0, 7.0, 9.0], [0.0] * 4, lambda a: int(a > 0), [-1.0, 1.0], False
    ),
}


class Theirs:
    """Gymnasium's environment without its time limit, whose state can be set."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.env: Any = gymnasium.make(pair.env_id, disable_env_checker=True).unwrapped
        self.env.reset(seed=0)

    def step(self, state: np.ndarray, action: float):
        self.env.state = state.copy()
        self.env.steps_beyond_terminated = None
        observation, reward, terminated, _, _ = self.env.step(self.pair.to_env(action))
        return np.array(self.env.state, dtype=np.float64), observation, reward, terminated


def states(pair: Pair, num: int) -> np.ndarray:
    """Draw states [num, S] all over the space."""
    rng = np.random.default_rng(0)
    return np.array(pair.center) + np.array(pair.high) * rng.uniform(-1, 1, (num, len(pair.high)))


@pytest.mark.parametrize("task", PAIRS)
@pytest.mark.parametrize(
    # Theirs is in float64, but for the car, whose state is rounded to float32 after each step.
    # In float32 an Acrobot turns with up to 28 rad/s, which has steps of 2e-6.
    ("dtype", "tolerance"),
    [(torch.float64, 1e-6), (torch.float32, 3e-5)],
)
def test_transitions_equal_gymnasium_all_over_the_state_space(task, dtype, tolerance):
    pair = PAIRS[task]
    theirs, ours = Theirs(pair), make(task).task
    rng = np.random.default_rng(1)
    start = states(pair, NUM_STEPS)
    actions = rng.choice(pair.actions, NUM_STEPS)
    outcome = ours.advance(
        torch.tensor(start.T, dtype=dtype), torch.tensor(actions[None], dtype=dtype)
    )
    assert outcome.state.dtype == dtype
    seen = ours.observe(outcome.state)
    ends = 0
    for i in range(NUM_STEPS):
        state, observation, reward, terminated = theirs.step(start[i], actions[i])
        found = outcome.state[:, i].numpy()
        # At +-pi an angle of theirs and of ours may be rounded to different sides.
        error = np.abs(found - state)
        error = np.minimum(error, np.abs(error - 2 * np.pi)) if task == "Acrobot" else error
        assert (error <= tolerance * (1 + np.abs(state))).all()
        if pair.has_reward:
            assert float(outcome.reward[i]) == pytest.approx(reward, rel=tolerance, abs=tolerance)
            assert bool(outcome.terminated[i]) == terminated
            assert seen[i].numpy() == pytest.approx(observation, rel=tolerance, abs=tolerance)
            ends += terminated
    assert not pair.has_reward or task == "Pendulum" or 0 < ends < NUM_STEPS


@pytest.mark.parametrize("task", PAIRS)
def test_two_hundred_random_steps_equal_gymnasium(task: str):
    pair = PAIRS[task]
    theirs, ours = Theirs(pair), make(task).task
    rng = np.random.default_rng(2)
    state = np.array(theirs.env.state, dtype=np.float64)
    mine = torch.tensor(state[:, None])
    for action in rng.choice(pair.actions, NUM_STEPS):
        state, _, reward, terminated = theirs.step(np.asarray(theirs.env.state), action)
        outcome = ours.advance(mine, torch.tensor([[action]], dtype=torch.float64))
        mine = outcome.state
        assert mine[:, 0].numpy() == pytest.approx(state, rel=1e-6, abs=1e-6)
        if pair.has_reward:
            assert float(outcome.reward) == pytest.approx(reward, rel=1e-6, abs=1e-6)
            assert bool(outcome.terminated) == terminated


@pytest.mark.parametrize(
    ("task", "env_id"),
    [
        ("MountainCarContinuous", "MountainCarContinuous-v0"),
        ("Pendulum", "Pendulum-v1"),
        ("Acrobot", "Acrobot-v1"),
        ("CartPoleSwingUp", "CartPole-v1"),
    ],
)
def test_time_limit_and_rate_are_gymnasiums(task: str, env_id: str):
    spec, env = gymnasium.spec(env_id), make(task)
    assert env.time_limit == spec.max_episode_steps
    if task in ("Pendulum", "CartPoleSwingUp"):
        theirs: Any = gymnasium.make(env_id).unwrapped
        assert env.spec.control_dt_s == (theirs.dt if task == "Pendulum" else theirs.tau)


def test_goal_of_the_car_pays_as_gymnasiums():
    """Rocking: push along the velocity until the goal."""
    pair = PAIRS["MountainCarContinuous"]
    theirs, env = Theirs(pair), make("MountainCarContinuous", num_envs=1)
    env.reset()
    theirs.env.state = env.state[:, 0].numpy().copy()
    total = 0.0
    for _ in range(999):
        action = 1.0 if theirs.env.state[1] >= 0 else -1.0
        _, _, reward, terminated = theirs.step(np.asarray(theirs.env.state), action)
        step = env.step(torch.tensor([[action]]))
        assert float(step.reward) == pytest.approx(reward, abs=1e-5)
        assert bool(step.terminated) == terminated
        total += reward
        if terminated:
            break
    assert terminated and total > 80
    # The tracker reads the metrics where an episode ends.
    assert float(step.metrics["fitness"]) == pytest.approx(total, abs=1e-3)
    assert float(step.metrics["solved"]) == 1.0
