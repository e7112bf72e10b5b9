"""Training of a population that shares one network: PPO, SAPG, EPO."""

from __future__ import annotations

import copy
from typing import Any, Dict, List, Optional, Tuple

import torch

from epo.components import networks
from epo.config import AlgoCfg, Config
from epo.config.interface import check_interface
from epo.envs import VecEnv
from epo.learner.ppo import PPO
from epo.learner.witness import first_nonfinite
from epo.models.actor_critic import ActorCritic
from epo.models.distribution import make_distribution
from epo.models.precision import trunk_dtype
from epo.population import Evolution, gene_distance
from epo.population.fitness import EpisodeReturns, Fitness
from epo.population.genes import gene_row
from epo.population.settings import trains_genes
from epo.ranks import ALONE, Ranks
from epo.record.names import FRAMES_TO_GENERATION
from epo.record.recorder import Recorder
from epo.rollout.collector import Collector
from epo.rollout.storage import Rollout
from epo.runner.loop import Loop
from epo.runner.nonfinite import Finding
from epo.runner.recording import play, record_rollout, watch
from epo.runner.seeds import derive_seed
from epo.runner.snapshot import Numbers, Snapshot


def build_model(
    cfg: AlgoCfg, env: VecEnv, num_agents: int, seed: int, precision: str = "fp32"
) -> ActorCritic:
    """Return the initial actor-critic for the spaces of `env`, on its device.

    Args:
        cfg: network and normalisers.
        env: to act in.
        num_agents: K.
        seed: of the run.
        precision: of the trunk's products, `fp32` or `bf16`.

    Raises:
        ConfigError: if the encoder does not fit the observation.
    """
    check_interface(cfg, env.spec)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "model"))
        model = networks.get(cfg.network.model, cfg.own)(
            env.spec.observation_dim,
            env.spec.policy_dim,
            num_agents,
            cfg.network,
            cfg.normalizer,
            trunk_dtype(precision),
            make_distribution(env.spec.choices),
            env.spec.image_shape,
            env.spec.state_dim,
        )
    return model.to(env.device)


class Trainer(Loop):
    """Collect, learn, evolve: agents are genes of one actor-critic.

    Args:
        cfg: validated and resolved configuration (`num_agents` is an int).
        env: the environments.
        recorder: where the numbers go.
        ranks: that train together.
    """

    def __init__(self, cfg: Config, env: VecEnv, recorder: Recorder, ranks: Ranks = ALONE) -> None:
        super().__init__(cfg, env, recorder, ranks)
        num_agents, algo = int(cfg.num_agents), cfg.algo
        self.model = build_model(algo, env, num_agents, cfg.seed, cfg.precision)
        self.collector = Collector(
            env,
            self.model,
            self.tracker,
            algo.ppo,
            seed=derive_seed(cfg.seed, "action noise"),
            stopwatch=self.stopwatch,
            with_step_memory=algo.aggregation.hidden == "stored" and num_agents > 1,
            ranks=ranks,
            own=algo.own,
        )
        self.learner = PPO(
            self.model,
            algo,
            env.spec.num_envs,
            seed=derive_seed(cfg.seed, "learner"),
            skips_nonfinite=cfg.guard.on_nonfinite == "skip",
            ranks=ranks,
        )
        if cfg.compile:
            self.learner.objective.compile()
        self.returns: Optional[EpisodeReturns] = None
        gene = self.model.gene
        self.evolution = Evolution(
            algo.evolution,
            num_agents,
            0 if gene is None else gene.shape[1],
            seed=derive_seed(cfg.seed, "evolution"),
            gene_std=algo.network.gene_std,
            own=algo.own,
        )
        self._freeze_genes()

    @property
    def frames_per_iteration(self) -> int:
        """Return N T."""
        return self.ranks.size * self.env.spec.num_envs * self.cfg.algo.ppo.horizon

    def advance(self) -> Numbers:
        """Collect one rollout and learn from it."""
        with self.stopwatch.section("rollout"):
            rollout, self.returns = self.collect()
        with self.stopwatch.section("learn"):
            metrics = self.learner.update(rollout, self.returns)
        if self.model.gene is not None:
            metrics["population/gene_distance"] = gene_distance(self.model.gene).mean
        shown = {**self.collector.scalars, **self.learner.signals}
        return Numbers(metrics, shown, {"observation": watch(self.model, self.collector)})

    def collect(self) -> Tuple[Rollout, Optional[EpisodeReturns]]:
        """Collect what the update learns from."""
        return self.collector.collect(), self.tracker.take_returns(self.ranks.sum)

    def recording(self) -> Dict[str, Any]:
        """Return the rollout and the returns of its episodes."""
        return record_rollout(self.collector, self.returns)

    def play(self, recording: Dict[str, Any]) -> None:
        """Let the next iteration learn from a complete `recording`; nobody acts."""
        self.collect = lambda: play(recording, self.collector)

    def relearn(self, state: Dict[str, Any]) -> Optional[Finding]:
        """Repeat the last update from `state` and say what was not finite first."""
        before = copy.deepcopy(state)  # optimisers keep the tensors that they are given
        self.load_policy(before)
        self.learner.load_state_dict(before["learner"])
        return first_nonfinite(self.learner, self.collector.rollout, self.returns)

    def evolve(self, snapshot: Snapshot) -> None:
        """Run a generation between two iterations, if it is due."""
        before = self.evolution.generation, list(self.evolution.lineage.ids)
        generation = self.evolution.step(self.frames, snapshot.fitness)
        changed: List[int] = []
        if self.evolution.is_window_over or self.iteration == 1:
            self._record_genes(snapshot.fitness, *before)
        if generation is not None and self.model.gene is not None:
            generation.iteration = self.iteration
            for parameter in self.evolution.apply(generation, self.model.gene, self.model.log_std):
                self.learner.reset_moments(parameter, generation.replaced)
            self._freeze_genes()
            self.recorder.generation(generation.to_row())
            changed += generation.replaced
        if self.evolution.promoted is not None:
            self.learner.swap_agents(self.evolution.promoted, self.leader_id)
            self.evolution.promote(self.evolution.promoted)
            changed += [self.evolution.promoted, self.leader_id]
        if self.evolution.is_window_over:
            self.tracker.start_window(changed)

    def _record_genes(self, fitness: Fitness, generation: int, ids: List[int]) -> None:
        """Record the genes before they change: the fitness is theirs."""
        gene = self.model.gene
        if gene is not None:
            where = {"iteration": self.iteration, "frames": self.frames, "generation": generation}
            values = gene.detach()
            self.recorder.genes(lambda: {**where, **gene_row(values, ids, fitness.fitness)})

    def _freeze_genes(self) -> None:
        """Switch the training of genes by gradient on or off."""
        if self.model.gene is not None:
            is_trained = trains_genes(self.cfg.algo.evolution, self.evolution.generation)
            self.model.gene.requires_grad_(is_trained)

    def population_row(self) -> Dict[str, float]:
        """Return the number of generations and the frames to the next judgement."""
        row = {"generation": float(self.evolution.generation)}
        if self.cfg.algo.evolution.promotion_margin:
            row["population/promotions"] = float(self.evolution.num_promotions)
        if self.evolution.is_active:
            row[FRAMES_TO_GENERATION] = self.evolution.frames_to_judgement(self.frames)
        return row

    def policy_state(self) -> Dict[str, Any]:
        """The actor-critic with its genes and statistics."""
        return {"model": self.model.state_dict()}

    def load_policy(self, state: Dict[str, Any]) -> None:
        """Take the networks and normalisers of a `policy_state`."""
        self.model.load_state_dict(state["model"])

    def state_dict(self) -> Dict[str, Any]:
        """Everything that changes, so that a resumed run equals an uninterrupted one."""
        return {
            **super().state_dict(),
            "learner": self.learner.state_dict(),
            "collector": self.collector.state_dict(),
            "evolution": self.evolution.state_dict(),
        }

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        super().load_state_dict(state)
        self.learner.load_state_dict(state["learner"])
        self.collector.load_state_dict(state["collector"])
        self.evolution.load_state_dict(state["evolution"])
        self._freeze_genes()
