from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

import pytest
import torch
from torch import Tensor

from epo.config import AlgoCfg, NetworkCfg, NormalizerCfg
from epo.envs import EnvSpec, Step
from epo.models.actor_critic import ActorCritic
from epo.runner.checkpoint import CheckpointError
from epo.runner.evaluator import (
    AgentPolicy,
    Episode,
    Evaluator,
    RandomPolicy,
    ZeroPolicy,
    averages,
    load_policy,
)
from epo.runner.trainer import build_model

CPU = torch.device("cpu")
ALGO = AlgoCfg(name="epo", network=NetworkCfg(lstm_units=4, mlp_units=[5], gene_dim=3))


class Counting:
    """Episodes of 2 and 3 steps in turn for environments 0 and 1; reward 1 and 10 per step.

    The observation is the step within the episode. With `invalid_first` the first step of every
    episode is no experience and does not count.
    """

    def __init__(self, invalid_first: bool = False) -> None:
        self.spec = EnvSpec("Counting", "none", 2, 1, 1, 0.05, has_invalid_steps=invalid_first)
        self.device = CPU
        self.invalid_first = invalid_first
        self.seen: List[Tensor] = []

    def reset(self) -> Tensor:
        self.elapsed = torch.zeros(2, dtype=torch.int64)
        return self._observation()

    def step(self, action: Tensor) -> Step:
        self.seen.append(action)
        valid = self.elapsed > 0 if self.invalid_first else None
        self.elapsed = self.elapsed + 1
        done = self.elapsed == torch.tensor([2, 3])
        metrics = {"fitness": 100.0 * self.elapsed}
        final = self._observation()
        self.elapsed = self.elapsed.masked_fill(done, 0)
        never = torch.zeros_like(done)
        reward = torch.tensor([1.0, 10.0])
        return Step(self._observation(), reward, done, never, final, metrics, {}, valid)

    def state_dict(self) -> Dict[str, Any]:
        return {}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        pass

    def close(self) -> None:
        pass

    def _observation(self) -> Tensor:
        return self.elapsed.float()[:, None]


class Noting:
    """A policy that acts with zeros and notes what it is told."""

    def __init__(self) -> None:
        self.first: List[List[bool]] = []
        self.observations: List[List[float]] = []

    def act(self, observation: Tensor, is_first: Tensor) -> Tensor:
        self.first.append(is_first.tolist())
        self.observations.append(observation[:, 0].tolist())
        return torch.zeros(2, 1)


def population(num_agents: int = 4) -> ActorCritic:
    model = build_model(ALGO, Counting(), num_agents, seed=0)
    with torch.no_grad():
        model.log_std.copy_(torch.linspace(-1, 0, num_agents)[:, None])
    return model


def test_episodes_are_counted_from_their_own_first_step():
    evaluator = Evaluator(Counting(), Noting())
    for _ in range(4):
        evaluator.step()
    # Environment 0 ends after steps 2 and 4, environment 1 after step 3.
    assert evaluator.episodes == [
        Episode(0, 2, 2.0, {"fitness": 200.0}),
        Episode(1, 3, 30.0, {"fitness": 300.0}),
        Episode(0, 2, 2.0, {"fitness": 200.0}),
    ]
    assert evaluator.running() == [Episode(1, 1, 10.0, {"fitness": 100.0})]
    assert evaluator.present(0) == Episode(0, 0, 0.0, {})


def test_policy_is_told_where_episodes_begin():
    policy = Noting()
    evaluator = Evaluator(Counting(), policy)
    for _ in range(4):
        evaluator.step()
    assert policy.first == [[True, True], [False, False], [True, False], [False, True]]
    assert policy.observations == [[0, 0], [1, 1], [0, 2], [1, 0]]


def test_steps_that_are_no_experience_do_not_count():
    policy = Noting()
    evaluator = Evaluator(Counting(invalid_first=True), policy)
    for _ in range(3):
        evaluator.step()
    # Two and three steps, of which the first is not valid.
    assert [(e.env, e.steps, e.episode_return) for e in evaluator.episodes] == [
        (0, 1, 1.0),
        (1, 2, 20.0),
    ]
    assert policy.first[1] == [True, True]


def test_every_environment_acts_under_its_own_agent():
    model = population()
    agent = torch.tensor([2, 0])
    observation = torch.tensor([[0.3], [0.3]])
    action = AgentPolicy(model, agent).act(observation, torch.ones(2, dtype=torch.bool))
    for row, k in enumerate(agent):
        alone = model(
            observation[None, :1], k[None], model.initial_memory(1), torch.ones(1, 1).bool()
        )
        assert torch.allclose(action[row], alone.mean[0, 0], atol=1e-6)
    assert not torch.allclose(action[0], action[1])


def test_memory_is_carried_and_emptied_at_first_steps():
    model = population()
    agent = torch.tensor([1, 1])
    observation = torch.tensor([[[0.5], [0.5]], [[-0.2], [-0.2]]])  # [T, B, O]
    is_first = torch.tensor([[True, True], [False, True]])
    policy = AgentPolicy(model, agent)
    actions = torch.stack([policy.act(observation[t], is_first[t]) for t in range(2)])
    expected = model(observation, agent, model.initial_memory(2), is_first).mean
    assert torch.allclose(actions, expected, atol=1e-6)
    assert not torch.allclose(actions[1, 0], actions[1, 1])


def test_noise_is_the_agents_own_and_repeats_with_the_seed():
    model = population()
    agent = torch.tensor([0, 3]).repeat_interleave(2000)
    observation, is_first = torch.zeros(4000, 1), torch.ones(4000, dtype=torch.bool)
    mean = AgentPolicy(model, agent).act(observation, is_first)
    noisy = AgentPolicy(model, agent, seed=1).act(observation, is_first)
    again = AgentPolicy(model, agent, seed=1).act(observation, is_first)
    assert torch.equal(noisy, again)
    std = (noisy - mean).unflatten(0, (2, 2000)).std(dim=1)[:, 0]
    # exp(-1) and exp(0); the standard error of 2,000 draws is 1.6 %.
    assert std.tolist() == pytest.approx([0.368, 1.0], rel=0.08)


def test_load_policy_deals_environments_to_the_chosen_agents():
    state = {"model": population().state_dict()}
    env = Counting()
    policy = load_policy(ALGO, 4, state, Path("best.pt"), env, [3, 1], seed=None)
    assert isinstance(policy, AgentPolicy)
    assert policy.agent.tolist() == [3, 1]
    assert all(
        torch.equal(value, state["model"][name])
        for name, value in policy.model.state_dict().items()
    )
    policy = load_policy(ALGO, 4, state, Path("best.pt"), env, [3], seed=None)
    assert isinstance(policy, AgentPolicy)
    assert policy.agent.tolist() == [3, 3]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "best.pt: holds no shared network"),
        ({"model": {"gene": torch.zeros(1)}}, "best.pt: its network does not fit the task"),
    ],
)
def test_foreign_networks_are_refused(state: Dict[str, Any], message: str):
    with pytest.raises(CheckpointError, match=message):
        load_policy(ALGO, 4, state, Path("best.pt"), Counting(), [3], seed=None)


def test_random_and_zero_actions_lie_in_the_action_space():
    first = torch.ones(500, dtype=torch.bool)
    spec = EnvSpec("Box", "none", 500, 1, 3, 0.05)
    action = RandomPolicy(spec, CPU, seed=0).act(torch.zeros(500, 1), first)
    assert action.shape == (500, 3)
    assert action.min() < -0.98 and action.max() > 0.98 and action.abs().max() <= 1
    assert not ZeroPolicy(spec, CPU).act(torch.zeros(500, 1), first).any()
    choices = EnvSpec("Choice", "none", 500, 1, 1, 0.05, choices=(3,))
    action = RandomPolicy(choices, CPU, seed=0).act(torch.zeros(500, 1), first)
    assert set(action[:, 0].tolist()) == {0.0, 1.0, 2.0}


def test_averages_are_over_episodes():
    episodes = [Episode(0, 2, 1.0, {"lifted": 0.0}), Episode(1, 4, 2.0, {"lifted": 1.0})]
    assert averages(episodes) == {"steps": 3.0, "return": 1.5, "lifted": 0.5}
    assert averages([]) == {}


def test_normaliser_of_a_fresh_model_does_not_move_while_acting():
    model = ActorCritic(1, 1, 1, ALGO.network, NormalizerCfg())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    evaluator = Evaluator(Counting(), AgentPolicy(model, torch.tensor([0, 0])))
    for _ in range(3):
        evaluator.step()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
