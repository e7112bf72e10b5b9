"""The training loop: collect, learn, evolve, record, save."""

from __future__ import annotations

import math
import time
import zlib
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

import torch
from torch import Tensor

from epo.config import AlgoCfg, Config
from epo.envs import VecEnv
from epo.learner.ppo import PPO
from epo.models.actor_critic import ActorCritic
from epo.models.distribution import Categorical, DiagonalGaussian
from epo.population import Evolution, Fitness, FitnessTracker, gene_distance
from epo.record.names import FRAMES_TO_GENERATION, agent_fitness
from epo.record.recorder import Recorder
from epo.rollout.collector import Collector
from epo.runner.guard import check_finite
from epo.stopwatch import Stopwatch


def derive_seed(seed: int, name: str) -> int:
    """Return the seed of the component `name`: components never share a random stream."""
    return (seed * 1_000_003 + zlib.crc32(name.encode())) % (2**63 - 1)


def build_model(cfg: AlgoCfg, env: VecEnv, num_agents: int, seed: int) -> ActorCritic:
    """Return the initial actor-critic for the spaces of `env`, on its device."""
    autocast = torch.bfloat16 if env.device.type == "cuda" else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "model"))
        model = ActorCritic(
            env.spec.observation_dim,
            env.spec.num_choices or env.spec.action_dim,
            num_agents,
            cfg.network,
            cfg.normalizer,
            autocast,
            Categorical() if env.spec.num_choices else DiagonalGaussian(),
        )
    return model.to(env.device)


class Snapshot(NamedTuple):
    """What one iteration brings to the host, in one transfer.

    Attributes:
        metrics: name -> value, losses and diagnostics of the update.
        scalars: name -> value, state of the task.
        fitness: of all agents, CPU tensors [K].
        blocks: metric -> [K] mean over each agent's environments of the last episode.
    """

    metrics: Dict[str, float]
    scalars: Dict[str, float]
    fitness: Fitness
    blocks: Dict[str, Tensor]


def transfer(
    metrics: Dict[str, Tensor],
    scalars: Dict[str, Tensor],
    fitness: Fitness,
    blocks: Dict[str, Tensor],
) -> Snapshot:
    """Bring everything to the host in one copy: the sync point of an iteration."""
    named = {**metrics, **scalars}
    num_agents = fitness.fitness.shape[0]
    parts = [torch.stack([value.detach().double() for value in named.values()])]
    parts += [fitness.pack().flatten(), *(block.double() for block in blocks.values())]
    host = torch.cat(parts).cpu()
    values = dict(zip(named, host[: len(named)].tolist()))
    per_agent = host[len(named) :].view(4 + len(blocks), num_agents)
    return Snapshot(
        metrics={name: values[name] for name in metrics},
        scalars={name: values[name] for name in scalars},
        fitness=Fitness.unpack(per_agent[:4]),
        blocks=dict(zip(blocks, per_agent[4:])),
    )


class Trainer:
    """One run: the population, its environments, its learner and its record.

    Args:
        cfg: validated and resolved configuration (`num_agents` is an int).
        env: the environments.
        recorder: where the numbers go.
    """

    def __init__(self, cfg: Config, env: VecEnv, recorder: Recorder) -> None:
        self.cfg = cfg
        self.env = env
        self.recorder = recorder
        num_agents, algo = int(cfg.num_agents), cfg.algo
        self.stopwatch = Stopwatch(env.device)
        self.model = build_model(algo, env, num_agents, cfg.seed)
        self.tracker = FitnessTracker(
            env.spec.num_envs, num_agents, env.device, algo.evolution.fitness_metric
        )
        self.collector = Collector(
            env,
            self.model,
            self.tracker,
            algo.ppo,
            seed=derive_seed(cfg.seed, "action noise"),
            stopwatch=self.stopwatch,
            with_step_memory=algo.aggregation.hidden == "stored" and num_agents > 1,
        )
        self.learner = PPO(
            self.model, algo, env.spec.num_envs, seed=derive_seed(cfg.seed, "learner")
        )
        gene = self.model.gene
        self.evolution = Evolution(
            algo.evolution,
            num_agents,
            0 if gene is None else gene.shape[1],
            seed=derive_seed(cfg.seed, "evolution"),
        )
        self.iteration = 0
        self.wall_s = 0.0
        self.best_fitness = -math.inf
        self.last_metrics: Dict[str, float] = {}
        self._last_end = time.perf_counter()

    @property
    def frames_per_iteration(self) -> int:
        """N T."""
        return self.env.spec.num_envs * self.cfg.algo.ppo.horizon

    @property
    def frames(self) -> int:
        """Environment frames so far."""
        return self.iteration * self.frames_per_iteration

    def is_best(self) -> bool:
        """Whether the leader meets the task's objective as well as ever; if so, it is the best.

        Of equal ones the later is better: it has learned for longer.
        """
        fitness = self.last_metrics.get("leader/objective", math.nan)
        is_best = fitness >= self.best_fitness
        if is_best:
            self.best_fitness = fitness
        return is_best

    def is_finished(self) -> bool:
        """Whether a limit of the run is reached."""
        cfg = self.cfg
        return (
            (cfg.max_frames is not None and self.frames >= cfg.max_frames)
            or (cfg.max_iterations is not None and self.iteration >= cfg.max_iterations)
            or (cfg.max_minutes is not None and self.wall_s >= 60.0 * cfg.max_minutes)
        )

    def iterate(self) -> Dict[str, float]:
        """Run one iteration and return its row of numbers."""
        with self.stopwatch.section("rollout"):
            rollout = self.collector.collect()
        with self.stopwatch.section("learn"):
            metrics = self.learner.update(rollout)
        if self.model.gene is not None:
            metrics["population/gene_distance"] = gene_distance(self.model.gene).mean
        snapshot = transfer(
            metrics, self.collector.scalars, self.tracker.snapshot(), self.tracker.block_means()
        )
        check_finite(snapshot.metrics, self.iteration + 1, Path(str(self.cfg.run_dir)))
        self.iteration += 1
        self._evolve(snapshot.fitness)
        seconds = self.stopwatch.read()
        # From the end of the last iteration: recording and checkpoints count as well.
        now = time.perf_counter()
        elapsed, self._last_end = now - self._last_end, now
        self.wall_s += elapsed
        timing = {
            "wall_s": self.wall_s,
            "fps": self.frames_per_iteration / elapsed,
            "sim_s": seconds["sim"],
            "learn_s": seconds["learn"],
            "act_s": seconds["rollout"] - seconds["sim"],
        }
        self.last_metrics = {**timing, **self._population_metrics(snapshot)}
        self.recorder.write(self.iteration, self.frames, self.last_metrics)
        return self.last_metrics

    def _evolve(self, fitness: Fitness) -> None:
        """Let a generation happen if it is time, between two iterations."""
        generation = self.evolution.step(self.frames, fitness)
        replaced: Optional[Tensor] = None
        if generation is not None and self.model.gene is not None:
            generation.iteration = self.iteration
            replaced = self.evolution.apply(generation, self.model.gene, self.model.log_std)
            self.learner.reset_moments(self.model.gene, generation.replaced)
            if self.cfg.algo.evolution.log_std == "average":
                self.learner.reset_moments(self.model.log_std, generation.replaced)
            self.recorder.generation(generation.to_row())
        if self.evolution.is_window_over:
            self.tracker.start_window(replaced)

    def _population_metrics(self, snapshot: Snapshot) -> Dict[str, float]:
        """Name the leader's and the population's numbers."""
        fitness: List[float] = snapshot.fitness.fitness.tolist()
        known = [value for value in fitness if not math.isnan(value)]
        row = {"leader/fitness": fitness[-1], "population/gene_distance": 0.0}
        row["population/fitness_mean"] = sum(known) / len(known) if known else math.nan
        row["population/fitness_best"] = max(known) if known else math.nan
        for name, block in snapshot.blocks.items():
            # The task's own objective; what selection goes by may be another metric.
            column = "objective" if name == "fitness" else name
            row[f"leader/{column}"] = float(block[-1])
            row[f"population/{column}"] = float(block.mean())
        row["generation"] = float(self.evolution.generation)
        if self.evolution.is_active:
            row[FRAMES_TO_GENERATION] = self.evolution.frames_to_judgement(self.frames)
        return {**row, **snapshot.metrics, **snapshot.scalars, **agent_fitness(fitness)}

    def state_dict(self) -> Dict[str, Any]:
        """Everything that changes, so that a resumed run equals an uninterrupted one."""
        return {
            "iteration": self.iteration,
            "frames": self.frames,
            "wall_s": self.wall_s,
            "best_fitness": self.best_fitness,
            "model": self.model.state_dict(),
            "learner": self.learner.state_dict(),
            "collector": self.collector.state_dict(),
            "tracker": self.tracker.state_dict(),
            "evolution": self.evolution.state_dict(),
            "env": self.env.state_dict(),
        }

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self.iteration = int(state["iteration"])
        self.wall_s = float(state["wall_s"])
        self.best_fitness = float(state["best_fitness"])
        self.model.load_state_dict(state["model"])
        self.learner.load_state_dict(state["learner"])
        self.collector.load_state_dict(state["collector"])
        self.tracker.load_state_dict(state["tracker"])
        self.evolution.load_state_dict(state["evolution"])
        self.env.load_state_dict(state["env"])
