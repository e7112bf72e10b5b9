"""The learner does what the plain reference beside this file does, number by number."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import pytest
import torch
from torch import Tensor

from epo.config import AggregationCfg, AlgoCfg, EvolutionCfg, NetworkCfg, NormalizerCfg, PPOCfg
from epo.envs import Step
from epo.learner.ppo import PPO
from epo.models.actor_critic import ActorCritic
from epo.population.evolution import Evolution
from epo.population.fitness import Fitness
from epo.rollout.collector import Collector
from epo.rollout.storage import Rollout
from epo.stopwatch import Stopwatch
from tests.learner.golden_case import NoObserver, ScriptedEnv
from tests.learner.reference import Reference
from tests.learner.reference_network import Tensors
from tests.learner.reference_rollout import collect
from tests.learner.small_run import genes_of

HORIZON, OBSERVATION, ACTION = 6, 3, 2
# float64, two updates of six steps each: rounding of 1e-16 grows to about 1e-13
TOLERANCE = 1e-8
NUM_AGENTS = {"ppo": 1, "sapg": 4, "epo": 4}
NUM_ENVS = {1: 7, 4: 8}  # two per agent, whose copies make them ten sequences

# Settings that change the maths, off their defaults.
VARIANTS: Dict[str, Tuple[str, str, Dict[str, Any]]] = {
    "stored memory": ("sapg", "lstm", {"aggregation.hidden": "stored"}),
    "stored memory, early statistics": (
        "sapg",
        "lstm",
        {"aggregation.hidden": "stored", "normalizer.timing": "minibatch"},
    ),
    "clip range around the importance": (
        "sapg",
        "lstm",
        {"aggregation.clip_center": "mu", "aggregation.max_importance": 1.2},
    ),
    "divergence from the follower": ("sapg", "lstm", {"aggregation.kl_reference": "follower"}),
    "divergence of own data": ("sapg", "mlp", {"aggregation.kl_reference": "exclude"}),
    "heavy leader": ("sapg", "mlp", {"aggregation.leader_weight": 3.0}),
    "everybody learns from everybody": ("sapg", "mlp", {"aggregation.mode": "symmetric"}),
    "time limits are no ends": ("sapg", "lstm", {"ppo.bootstrap_truncated": True}),
    "uneven minibatches": ("ppo", "lstm", {"ppo.minibatch_size": 3 * HORIZON}),
    "fixed step size": ("ppo", "mlp", {"ppo.schedule": "fixed", "ppo.entropy_coef": 0.01}),
    "free value": ("ppo", "mlp", {"ppo.clip_value": False}),
}


def _settings(algorithm: str, net: str, changes: Dict[str, Any]) -> AlgoCfg:
    """Return settings under which every term counts, and a step size that leaves the clip range."""
    is_population = algorithm != "ppo"
    cfg = AlgoCfg(
        name=algorithm,
        network=NetworkCfg(kind=net, lstm_units=5, mlp_units=[6, 4], gene_dim=3),
        normalizer=NormalizerCfg(),
        ppo=PPOCfg(
            horizon=HORIZON,
            num_epochs=2,
            num_minibatches=3,
            learning_rate=1e-2,
            max_learning_rate=2e-2,
            clip_eps=0.04,
            bounds_coef=0.1,
            soft_bound=0.3,
            max_grad_norm=0.5,
            reward_scale=1.0,
            bootstrap_truncated=False,
        ),
        aggregation=AggregationCfg(
            mode="leader_follower" if is_population else "none",
            entropy_scale=0.02 if is_population else 0.0,
        ),
        evolution=EvolutionCfg(interval_frames=1, warmup_frames=0, num_elites=1, num_replaced=2),
    )
    for name, value in changes.items():
        part, field = name.split(".")
        assert hasattr(getattr(cfg, part), field)
        setattr(getattr(cfg, part), field, value)
    return cfg


def _model(cfg: AlgoCfg, num_agents: int) -> ActorCritic:
    """Return a network without a zero or a one among its weights and statistics."""
    torch.manual_seed(0)
    model = ActorCritic(OBSERVATION, ACTION, num_agents, cfg.network, cfg.normalizer).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        for normalizer in (model.observation_normalizer, model.value_normalizer):
            normalizer.mean.normal_()
            normalizer.var.uniform_(0.5, 2.0)
            normalizer.count.fill_(20.0)
    return model


def _script(num_envs: int, before: Tensors) -> Tensors:
    """Draw what happens in a rollout that follows `before`; some observations are far off."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64)

    observation = 1.0 + 2.0 * normal(HORIZON + 1, num_envs, OBSERVATION)
    observation[::3, ::4] *= 8.0
    # Three in ten steps end an episode, half of those by the time limit.
    end = torch.rand(HORIZON, num_envs)
    is_first = torch.cat([torch.rand(1, num_envs) < 0.5, end < 0.3])
    if before:
        observation[0], is_first[0] = before["observation"][-1], before["is_first"][-1]
    return {
        "observation": observation,
        "is_first": is_first,
        "truncated": end < 0.15,
        "final_observation": normal(HORIZON, num_envs, OBSERVATION),
        "reward": normal(HORIZON, num_envs),
        "noise": normal(HORIZON, num_envs, ACTION),
    }


class Pair:
    """Our learner and the reference, from the same weights, with the same random numbers."""

    def __init__(self, algorithm: str, net: str, changes: Dict[str, Any]) -> None:
        self.num_agents = NUM_AGENTS[algorithm]
        self.num_envs = NUM_ENVS[self.num_agents]
        self.cfg = cfg = _settings(algorithm, net, changes)
        self.model = _model(cfg, self.num_agents)
        self.learner = PPO(self.model, cfg, self.num_envs, seed=0)
        self.reference = Reference(self.model.state_dict(), cfg, self.num_agents)
        self.memory = 0.5 * torch.randn_like(self.model.initial_memory(self.num_envs))
        self.script: Tensors = {}

    def rollout(self) -> Tensors:
        """Collect with the reference."""
        self.script = _script(self.num_envs, self.script)
        rollout, self.memory = collect(
            self.reference.network, self.script, self.memory, self.num_agents
        )
        if not self.cfg.ppo.bootstrap_truncated:
            del rollout["terminal_value"]
        return rollout

    def update(self) -> None:
        """Let both learn from one rollout, and compare what they say and what they are."""
        rollout, sources = self.rollout(), self._sources()
        order = torch.randperm(self.num_envs + len(sources))
        env_ids, agents = (torch.tensor([pair[i] for pair in sources]) for i in range(2))
        self.learner.draw_sources = lambda: (env_ids, agents)  # type: ignore[method-assign]
        self.learner.draw_order = lambda num_sequences: order  # type: ignore[method-assign]
        own: Any = {k: v.clone() for k, v in rollout.items()}
        metrics = self.learner.update(Rollout(**own))
        expected = self.reference.update(rollout, sources, order.tolist())
        for name, value in expected.items():
            _assert_close(metrics[name], torch.tensor(value, dtype=torch.float64), name)
        # Otherwise the clip range would not be tested.
        assert 0.05 < expected["clip_fraction/on_policy"] < 0.95
        assert expected["grad_norm"] > self.cfg.ppo.max_grad_norm
        self.compare()

    def _sources(self) -> List[Tuple[int, int]]:
        """Draw whose sequences are relabelled for whom."""
        leader, block = self.num_agents - 1, self.num_envs // self.num_agents
        if self.num_agents == 1:
            return []
        if self.cfg.aggregation.mode == "symmetric":
            return [((e + 2 * block) % self.num_envs, e // block) for e in range(self.num_envs)]
        return [(int(e), leader) for e in torch.randperm(leader * block)[:block]]

    def evolve(self) -> None:
        """Let one generation happen in both."""
        evolution = Evolution(self.cfg.evolution, self.num_agents, 3, seed=0)
        ones = torch.ones(self.num_agents)
        fitness = Fitness(torch.tensor([1.0, 4.0, 3.0, 2.0]), 0.0 * ones, 9.0 * ones, ones.bool())
        evolution.step(0, fitness)
        generation = evolution.step(1, fitness)
        assert generation is not None
        assert generation.replaced == [2, 0]  # the worst followers, better one first
        genes, log_std = genes_of(self.model), self.model.log_std
        for parameter in evolution.apply(generation, genes, log_std):
            self.learner.reset_moments(parameter, generation.replaced)
        self.reference.evolve(
            generation.replaced,
            generation.parents,
            generation.noise.double(),
            self.cfg.evolution.mutation_sigma,
            self.cfg.evolution.log_std,
        )
        assert not self.learner.optimizer.state[genes]["exp_avg"][generation.replaced].any()
        self.compare()

    def compare(self) -> None:
        """Compare all weights, moments, statistics and the step size."""
        ours, reference = dict(self.model.named_parameters()), self.reference
        assert ours.keys() == reference.weights.keys()
        for name, parameter in ours.items():
            state = self.learner.optimizer.state[parameter]
            _assert_close(parameter, reference.weights[name], name)
            _assert_close(state["exp_avg"], reference.first[name], f"first moment of {name}")
            _assert_close(state["exp_avg_sq"], reference.second[name], f"second moment of {name}")
            assert state["step"] == reference.num_steps
        for name in ("mean", "var", "count"):
            for normalizer, moments in (
                (self.model.observation_normalizer, reference.observations),
                (self.model.value_normalizer, reference.values),
            ):
                _assert_close(getattr(normalizer, name), getattr(moments, name), name)
        assert self.learner.learning_rate.item() == pytest.approx(
            reference.learning_rate, rel=1e-12
        )


def _assert_close(found: Tensor, expected: Tensor, what: str) -> None:
    torch.testing.assert_close(
        found.detach(),
        expected.detach(),
        rtol=TOLERANCE,
        atol=TOLERANCE,
        msg=lambda text: f"{what}: {text}",
    )


@pytest.mark.parametrize("timing", ["iteration", "minibatch"])
@pytest.mark.parametrize("net", ["lstm", "mlp"])
@pytest.mark.parametrize("algorithm", ["ppo", "sapg", "epo"])
def test_two_updates_equal_the_reference(algorithm, net, timing):
    pair = Pair(algorithm, net, {"normalizer.timing": timing})
    pair.update()
    if algorithm == "epo":
        pair.evolve()
    pair.update()


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_update_equals_the_reference_off_the_defaults(variant):
    Pair(*VARIANTS[variant]).update()


@pytest.mark.parametrize("log_std", ["keep", "average"])
def test_two_generations_in_a_row_equal_the_reference(log_std):
    pair = Pair("epo", "mlp", {"evolution.log_std": log_std})
    pair.update()
    pair.evolve()
    pair.evolve()
    pair.update()


class TimedEnv(ScriptedEnv):
    """Replay a script of ours, in which the time limit ends some episodes."""

    def __init__(self, script: Tensors) -> None:
        super().__init__(script["reward"].shape[1], OBSERVATION, ACTION)
        self.data, self.t = script, 0

    def reset(self) -> Tensor:
        return self.data["observation"][0]

    def step(self, action: Tensor) -> Step:
        data, t = self.data, self.t
        self.t += 1
        truncated = data["truncated"][t]
        terminated = data["is_first"][t + 1] & ~truncated
        observation, final = data["observation"][t + 1], data["final_observation"][t]
        return Step(observation, data["reward"][t], terminated, truncated, final, {}, {})


@pytest.mark.parametrize("net", ["lstm", "mlp"])
@pytest.mark.parametrize("algorithm", ["ppo", "sapg"])
def test_collected_rollout_equals_the_reference(algorithm, net):
    pair = Pair(algorithm, net, {"ppo.bootstrap_truncated": True})
    memory = pair.memory
    expected = pair.rollout()
    collector = Collector(
        TimedEnv(pair.script),
        pair.model,
        NoObserver(),
        pair.cfg.ppo,
        seed=0,
        stopwatch=Stopwatch(torch.device("cpu")),
        with_step_memory=True,
    )
    collector._memory = memory
    collector._rollout.is_first[-1] = pair.script["is_first"][0]
    noise = iter(pair.script["noise"])
    collector.draw_noise = lambda like: next(noise)  # type: ignore[method-assign]
    rollout = collector.collect()
    for name, value in expected.items():
        _assert_close(getattr(rollout, name), value, name)
    _assert_close(collector.state_dict()["memory"], pair.memory, "memory")
