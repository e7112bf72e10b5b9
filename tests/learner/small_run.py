"""A small population on `ProbeReach`: quick enough for every test of rollout and update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict

import torch
from torch import Tensor, nn

from epo.config import AggregationCfg, AlgoCfg, NetworkCfg, PPOCfg
from epo.envs import Step, VecEnv
from epo.models.actor_critic import ActorCritic
from epo.population.fitness import FitnessTracker
from epo.rollout.collector import Collector
from epo.stopwatch import Stopwatch
from tasks.probes.config import ProbeCfg
from tasks.probes.env import make_probe
from tests.learner.recording import RecordingPPO


class StepCounter:
    """An observer that counts the steps it saw."""

    def __init__(self) -> None:
        self.num_steps = 0

    def update(self, step: Step) -> None:
        self.num_steps += 1


class ReturnCounter(StepCounter):
    """An observer that also follows the returns of episodes."""

    def __init__(self, num_envs: int, num_agents: int, device: torch.device) -> None:
        super().__init__()
        self.tracker = FitnessTracker(num_envs, num_agents, device)

    def update(self, step: Step) -> None:
        super().update(step)
        self.tracker.update(step)


@dataclass
class SmallRun:
    """Everything of one run between two iterations."""

    env: VecEnv
    model: ActorCritic
    collector: Collector
    learner: RecordingPPO
    tracker: FitnessTracker

    def iterate(self) -> Dict[str, Tensor]:
        """Collect, update and return the metrics; the record is of this update only."""
        self.learner.record.clear()
        rollout = self.collector.collect()
        return self.learner.update(rollout, self.tracker.take_returns())


def genes_of(model: ActorCritic) -> nn.Parameter:
    """Return the genes [K, G] of a population."""
    assert model.gene is not None
    return model.gene


def gradient_of(parameter: Tensor) -> Tensor:
    """Return the gradient that must have arrived at `parameter`."""
    assert parameter.grad is not None
    return parameter.grad


def small_cfg(kind: str = "mlp", mode: str = "leader_follower") -> AlgoCfg:
    """Return settings of a tiny network; reward in task units, so that the values matter."""
    return AlgoCfg(
        name="small",
        network=NetworkCfg(kind=kind, lstm_units=8, mlp_units=[16, 8], gene_dim=4),
        ppo=PPOCfg(
            horizon=6, num_epochs=2, num_minibatches=2, learning_rate=1e-3, reward_scale=1.0
        ),
        aggregation=AggregationCfg(mode=mode),
    )


def small_run(
    cfg: AlgoCfg,
    num_agents: int = 1,
    num_envs: int = 8,
    seed: int = 0,
    is_double: bool = False,
    device: str = "cpu",
) -> SmallRun:
    """Build the run; episodes last 4 steps, so that they end in the midst of a rollout.

    Genes and log stds differ between agents.
    """
    place = torch.device(device)
    env = make_probe(ProbeCfg(episode_length=4), num_envs, place, seed, num_agents)
    torch.manual_seed(seed)
    spec = env.spec
    model = ActorCritic(
        spec.observation_dim, spec.action_dim, num_agents, cfg.network, cfg.normalizer
    )
    with torch.no_grad():
        model.log_std.uniform_(-0.5, 0.0)
    model.to(place)
    if is_double:
        model.double()
    observer = ReturnCounter(num_envs, num_agents, place)
    collector = Collector(
        env,
        model,
        observer,
        cfg.ppo,
        seed=seed,
        stopwatch=Stopwatch(env.device),
        with_step_memory=cfg.aggregation.hidden == "stored",
    )
    learner = RecordingPPO(model, cfg, num_envs, seed)
    return SmallRun(env, model, collector, learner, observer.tracker)
