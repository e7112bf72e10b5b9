"""Our environments as rl_games sees them."""

from __future__ import annotations

import dataclasses
from typing import Any, List, Optional, Tuple

import pytest
import torch
from torch import Tensor

from epo.envs import EnvSpec, Step
from epo.stopwatch import Stopwatch

pytest.importorskip("rl_games")

from epo.peers.rl_games.env import RlGamesEnv

SPEC = EnvSpec("Fake", "none", num_envs=4, observation_dim=3, action_dim=2, control_dt_s=0.1)
FLAGS = torch.tensor([False, True, False, False]), torch.tensor([False, False, True, False])


class FakeEnv:
    """Two of four episodes end: one for good, one by its time limit."""

    def __init__(self, valid: Optional[Tensor] = None, choices: Tuple[int, ...] = ()) -> None:
        self.spec = dataclasses.replace(SPEC, choices=choices)
        self.device = torch.device("cpu")
        self.observation = torch.arange(12.0).view(4, 3)
        self.reward = torch.arange(4.0)
        self.valid = valid
        self.actions: List[Tensor] = []

    def reset(self) -> Tensor:
        return self.observation

    def step(self, action: Tensor) -> Step:
        self.actions.append(action)
        metrics = {"fitness": self.reward}
        scalars = {"tolerance": torch.tensor(0.5)}
        return Step(
            self.observation, self.reward, *FLAGS, self.observation, metrics, scalars, self.valid
        )

    def state_dict(self) -> Any:
        return {}

    def load_state_dict(self, state: Any) -> None:
        pass

    def close(self) -> None:
        pass


def adapted(env: FakeEnv) -> RlGamesEnv:
    return RlGamesEnv(env, lambda step: None, Stopwatch(env.device))


def test_step_keeps_the_tensors_and_tells_ends_apart():
    env = FakeEnv()
    peer = adapted(env)
    assert peer.reset() is env.observation
    action = torch.zeros(4, 2)
    observation, reward, done, infos = peer.step(action)
    assert observation is env.observation and reward is env.reward and env.actions[0] is action
    assert done.tolist() == [False, True, True, False]
    assert infos["time_outs"].tolist() == [False, False, True, False]
    assert float(peer.scalars["tolerance"]) == 0.5


def test_step_that_is_no_experience_looks_like_a_time_limit():
    _, _, done, infos = adapted(FakeEnv(torch.tensor([True, True, True, False]))).step(
        torch.zeros(4, 2)
    )
    assert done.tolist() == [False, True, True, True]
    assert infos["time_outs"].tolist() == [False, False, True, True]


def test_observer_and_stopwatch_see_every_step():
    env, seen = FakeEnv(), []
    stopwatch = Stopwatch(env.device)
    RlGamesEnv(env, seen.append, stopwatch).step(torch.zeros(4, 2))
    assert len(seen) == 1 and seen[0].reward is env.reward
    assert set(stopwatch.read()) == {"sim"}


def test_spaces_are_those_of_the_task():
    info = adapted(FakeEnv()).get_env_info()
    assert (info["observation_space"].shape, info["action_space"].shape) == ((3,), (2,))
    assert info["action_space"].low.tolist() == [-1.0, -1.0]
    assert (info["agents"], info["value_size"]) == (1, 1)


def test_choices_become_a_column_of_indices():
    env = FakeEnv(choices=(5,))
    peer = adapted(env)
    assert peer.get_env_info()["action_space"].n == 5
    peer.step(torch.tensor([0, 4, 2, 1]))
    assert env.actions[0].tolist() == [[0.0], [4.0], [2.0], [1.0]]
    assert env.actions[0].dtype == torch.float32
