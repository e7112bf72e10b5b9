"""What a rollout holds: every frame in its place, memory and observation carried over."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import distributions

from epo.config import NetworkCfg, NormalizerCfg, PPOCfg
from epo.envs import EnvSpec, Step
from epo.models.actor_critic import ActorCritic
from epo.rollout.collector import Collector
from epo.stopwatch import Stopwatch
from tests.learner.small_run import StepCounter, small_cfg, small_run


class TraceEnv:
    """Clocks: every number tells its environment and step; all buffers are reused.

    Environment i ends an episode after every i + 2 steps: for good where i is even, by its
    time limit where i is odd. Observation [clock, i], final observation [-clock, -i].
    """

    def __init__(self, num_envs):
        self.spec = EnvSpec("trace", "none", num_envs, 2, 1, 1.0)
        self.device = torch.device("cpu")
        self.actions = []
        self.clock = 0
        self._ids = torch.arange(num_envs)
        self._observation = torch.zeros(num_envs, 2)
        self._reward = torch.zeros(num_envs)
        self._done = torch.zeros(2, num_envs, dtype=torch.bool)

    def reset(self):
        self.clock = 0
        return self._observe()

    def step(self, action):
        self.actions.append(action.clone())
        self.clock += 1
        done = self.clock % (self._ids + 2) == 0
        self._done[0], self._done[1] = done & (self._ids % 2 == 0), done & (self._ids % 2 == 1)
        self._reward.copy_(100.0 * self.clock + self._ids)
        final = -self._observe()
        scalars = {"clock": torch.tensor(float(self.clock))}
        terminated, truncated = self._done
        return Step(self._observation, self._reward, terminated, truncated, final, {}, scalars)

    def state_dict(self):
        return {"clock": self.clock}

    def load_state_dict(self, state):
        self.clock = state["clock"]

    def close(self):
        pass

    def _observe(self):
        self._observation[:, 0] = self.clock
        self._observation[:, 1] = self._ids
        return self._observation


def _collector(kind="lstm", num_agents=2, **settings):
    env = TraceEnv(num_envs=4)
    torch.manual_seed(0)
    network = NetworkCfg(kind=kind, lstm_units=8, mlp_units=[12], gene_dim=4)
    model = ActorCritic(2, 1, num_agents, network, NormalizerCfg())
    for normalizer, dim in ((model.observation_normalizer, 2), (model.value_normalizer, 1)):
        normalizer.update(10.0 + 10.0 * torch.randn(100, dim))
    cfg = PPOCfg(horizon=5, reward_scale=0.5, **settings)
    return Collector(
        env,
        model,
        StepCounter(),
        cfg,
        seed=3,
        stopwatch=Stopwatch(env.device),
        with_step_memory=kind == "lstm",
    )


def test_rollout_holds_every_frame_in_its_place():
    collector = _collector()
    env, counter, rollout = collector.env, collector.observer, collector.collect()
    assert isinstance(env, TraceEnv)
    assert isinstance(counter, StepCounter)
    assert (rollout.horizon, rollout.num_envs) == (5, 4)
    ids = torch.arange(4)
    for t in range(6):
        assert (rollout.observation[t, :, 0] == t).all()
        assert (rollout.observation[t, :, 1] == ids).all()
        assert torch.equal(rollout.is_first[t], t % (ids + 2) == 0)
    for t in range(5):
        assert torch.equal(rollout.reward[t], 0.5 * (100.0 * (t + 1) + ids))
        assert torch.equal(rollout.action[t], env.actions[t])
    assert rollout.agent.tolist() == [0, 0, 1, 1]
    assert counter.num_steps == 5
    assert collector.scalars["clock"].item() == 5.0
    assert collector.stopwatch.read()["sim"] > 0.0


def test_last_row_becomes_the_first_of_the_next_rollout():
    collector = _collector()
    first = copy.deepcopy(collector.collect())
    second = collector.collect()
    assert torch.equal(second.observation[0], first.observation[-1])
    assert torch.equal(second.is_first[0], first.is_first[-1])
    assert torch.equal(second.value[0], first.value[-1])  # same weights, statistics and memory
    assert (second.observation[:, :, 0] == torch.arange(5.0, 11.0)[:, None]).all()


def test_log_prob_is_of_the_unclamped_action_under_its_agent():
    collector = _collector()
    with torch.no_grad():
        collector.model.log_std.copy_(torch.tensor([[0.0], [1.5]]))
    rollout = collector.collect()
    assert rollout.action.abs().max() > 1.0
    std = torch.tensor([0.0, 0.0, 1.5, 1.5]).exp()  # two environments per agent
    normal = distributions.Normal(rollout.mean, std[:, None].expand_as(rollout.mean))
    torch.testing.assert_close(rollout.log_prob, normal.log_prob(rollout.action).sum(-1))
    assert torch.equal(rollout.log_std, collector.model.log_std)


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_training_pass_over_the_rollout_gives_the_same_policy(kind):
    collector = _collector(kind)
    collector.collect()
    rollout, model = collector.collect(), collector.model
    with torch.no_grad():
        output = model(rollout.observation, rollout.agent, rollout.memory, rollout.is_first)
    # float32: the two passes multiply matrices of different shapes
    torch.testing.assert_close(output.mean[:-1], rollout.mean, rtol=0.0, atol=1e-6)
    value = model.denormalize_value(output.value)
    torch.testing.assert_close(value, rollout.value, rtol=0.0, atol=1e-5)  # scale about 10


def test_memory_is_zero_where_an_episode_begins_and_only_there():
    collector = _collector()
    collector.collect()
    rollout = collector.collect()  # starts in the midst of episodes
    assert rollout.step_memory is not None
    is_zero = (rollout.step_memory == 0.0).all(dim=-1).all(dim=1)  # [T + 1, 2, N, H] -> [T + 1, N]
    assert torch.equal(is_zero, rollout.is_first)
    assert rollout.is_first.any()
    assert not rollout.is_first.all()


def test_collection_leaves_statistics_and_weights_alone():
    collector = _collector()
    assert isinstance(collector.model, ActorCritic)
    before = copy.deepcopy(collector.model.state_dict())
    collector.collect()
    for name, value in collector.model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_terminal_value_is_that_of_the_final_state_where_time_ended_the_episode():
    collector = _collector(bootstrap_truncated=True)
    model, rollout = collector.model, collector.collect()
    assert rollout.terminal_value is not None
    done = rollout.is_first[1:]
    truncated = done & (torch.arange(4) % 2 == 1)
    for t in range(5):
        # The final state follows the observations of the same episode: unroll up to it.
        final = torch.cat([rollout.observation[: t + 1], -rollout.observation[t + 1 : t + 2]])
        is_first = torch.cat([rollout.is_first[: t + 1], torch.zeros(1, 4, dtype=torch.bool)])
        with torch.no_grad():
            output = model(final, rollout.agent, rollout.memory, is_first)
        value = model.denormalize_value(output.value[-1])
        expected = torch.where(truncated[t], value, torch.zeros(4))
        torch.testing.assert_close(rollout.terminal_value[t], expected, rtol=0.0, atol=1e-5)
    assert truncated.any()
    assert (done & ~truncated).any()


def test_rollout_without_bootstrap_has_no_terminal_value():
    assert _collector().collect().terminal_value is None


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_resumed_collection_equals_the_uninterrupted_one(kind):
    cfg = small_cfg(kind)
    run = small_run(cfg, num_agents=2)
    run.collector.collect()
    saved = copy.deepcopy((run.collector.state_dict(), run.env.state_dict()))
    expected = run.collector.collect()
    resumed = small_run(cfg, num_agents=2, seed=7)
    resumed.model.load_state_dict(run.model.state_dict())
    resumed.collector.load_state_dict(saved[0])
    resumed.env.load_state_dict(saved[1])
    found = resumed.collector.collect()
    for name, value in expected.tensors().items():
        assert torch.equal(found.tensors()[name], value), name


def test_action_noise_follows_the_seed():
    first, same, other = (small_run(small_cfg(), seed=seed).collector for seed in (1, 1, 2))
    noise = first.draw_noise(torch.zeros(3, 2))
    assert torch.equal(noise, same.draw_noise(torch.zeros(3, 2)))
    assert not torch.equal(noise, other.draw_noise(torch.zeros(3, 2)))


class LazyEnv(TraceEnv):
    """A trace whose first step of every episode is no experience."""

    def __init__(self, num_envs):
        super().__init__(num_envs)
        self.spec = replace(self.spec, has_invalid_steps=True)
        self._after_done = torch.zeros(num_envs, dtype=torch.bool)

    def step(self, action):
        step = super().step(action)
        valid, self._after_done = ~self._after_done, step.terminated | step.truncated
        return step._replace(valid=valid)


def test_invalid_step_is_noted_and_the_episode_begins_after_it():
    env = LazyEnv(num_envs=4)
    model = ActorCritic(2, 1, 2, NetworkCfg(kind="mlp", mlp_units=[12]), NormalizerCfg())
    collector = Collector(
        env, model, StepCounter(), PPOCfg(horizon=5), seed=3, stopwatch=Stopwatch(env.device)
    )
    rollout = collector.collect()
    assert rollout.is_valid is not None
    # Environment 0 ends at steps 2 and 4 (counted from 1): steps 3 and 5 are invalid.
    assert rollout.is_valid[:, 0].tolist() == [True, True, False, True, False]
    assert rollout.is_first[:, 0].tolist() == [True, False, True, True, True, True]
    # Environment 1 ends at step 3.
    assert rollout.is_valid[:, 1].tolist() == [True, True, True, False, True]
    assert rollout.is_first[:, 1].tolist() == [True, False, False, True, True, False]
