"""Evolution: when a generation happens and what it does to the genes."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

import torch
from torch import Tensor
from torch.nn import Parameter

from epo.components import crossovers, mutations, rankings, selections, triggers
from epo.config import EvolutionCfg
from epo.population import operators
from epo.population.fitness import (
    Fitness,
    fitness_range,
    noise_threshold,
)
from epo.population.genes import Lineage
from epo.population.settings import check, num_roles


@dataclass
class Generation:
    """One genetic event: who was replaced by whose child, and why.

    Attributes:
        number: 1 for the first generation of the run.
        frames: total frames at the decision.
        reason: what made it happen.
        operator: how parents became a child.
        fitness: [K] at the decision, on the CPU, task units.
        standard_error: [K] of the fitness, on the CPU, task units; infinite where unknown.
        replaced: R agent indices, best first.
        parents: two agent indices per child.
        child_ids: gene id per child.
        parent_ids: two gene ids per child.
        noise: [R, G] standard normal numbers of the mutation, on the CPU.
        shares: [R, G] share of the first parent in every component, on the CPU.
        iteration: the trainer's count at the decision; the trainer fills it in.
    """

    number: int
    frames: int
    reason: str
    operator: str
    fitness: Tensor
    standard_error: Tensor
    replaced: List[int]
    parents: List[Tuple[int, int]]
    child_ids: List[int]
    parent_ids: List[Tuple[int, int]]
    noise: Tensor
    shares: Tensor
    iteration: int = -1

    def to_row(self) -> Dict[str, Any]:
        """Return the row of `generations.csv`: numbers and text; lists are JSON text."""
        return {
            "iteration": self.iteration,
            "frames": self.frames,
            "generation": self.number,
            "reason": self.reason,
            "operator": self.operator,
            "replaced": json.dumps(self.replaced),
            "parents": json.dumps(self.parents),
            "child_ids": json.dumps(self.child_ids),
            "parent_ids": json.dumps(self.parent_ids),
            "fitness": json.dumps([round(float(value), 6) for value in self.fitness]),
            "standard_error": json.dumps([round(float(v), 6) for v in self.standard_error]),
        }


class Evolution:
    """Decide on the host when a generation happens, and carry it out.

    The population is judged at the first call after every multiple of `interval_frames`
    (once the warm-up is over and all fitness is known), at most once per interval: tests
    repeated every iteration would sooner or later pass by chance. Every process of a
    distributed run that sees the same fitness decides the same.

    Attributes:
        generation: generations so far.
        lineage: ids, parents and ages of the genes.
        verdict: why the last call did or did not start a generation.
        is_window_over: whether the fitness window should start anew after the last call.
        promoted: follower that should change places with the leader after the last call, after
            its generation; the caller does it and says so by `promote`.
        num_promotions: how often they did.
    """

    def __init__(
        self,
        cfg: EvolutionCfg,
        num_agents: int,
        gene_dim: int,
        seed: int,
        leader_id: Optional[int] = None,
        gene_std: float = 1.0,
        own: Optional[Mapping[str, Any]] = None,
    ) -> None:
        """Check the settings and start at generation 0.

        Args:
            cfg: settings.
            num_agents: K.
            gene_dim: G, length of a gene.
            seed: of the generator that draws parents and mutations.
            leader_id: index of the leader; the last agent by default.
            gene_std: spread of the first genes, the unit of the mutation.
            own: settings of operators that are not ours, `algo.own`.
        """
        check(cfg, num_agents)
        own = own or {}
        self._is_due = triggers.get(cfg.trigger, own)
        self._rank = rankings.get(cfg.ranking, own)
        self._draw_parents = selections.get(cfg.parents, own)
        self._draw_shares = crossovers.get(cfg.crossover, own)
        self._mutate = mutations.get(cfg.mutation, own)
        self.cfg = cfg
        self.num_agents = num_agents
        self.gene_dim = gene_dim
        self.leader_id = num_agents - 1 if leader_id is None else leader_id
        self.gene_std = gene_std
        self.generation = 0
        self.lineage = Lineage(num_agents)
        self.verdict = "not judged yet"
        self.is_window_over = False
        self.promoted: Optional[int] = None
        self.num_promotions = 0
        self._judged_interval: Optional[int] = None
        self._window_interval = 0
        self._generator = torch.Generator().manual_seed(seed)

    @property
    def is_active(self) -> bool:
        """Return whether a generation can ever happen: switched on, and at least three agents."""
        return self.cfg.enabled and self.num_agents >= 3

    def frames_to_judgement(self, frames: int) -> float:
        """Count the frames until the population may be judged next; infinite if never."""
        if not self.is_active:
            return math.inf
        judged = self._judged_interval
        interval = frames // self.cfg.interval_frames if judged is None else judged
        due = max((interval + 1) * self.cfg.interval_frames, self.cfg.warmup_frames)
        return float(max(0, due - frames))

    def step(self, frames: int, fitness: Fitness) -> Optional[Generation]:
        """Decide, after an update, whether a generation happens now.

        Args:
            frames: total frames so far.
            fitness: of all agents, on the CPU.

        Returns:
            The generation, for `apply` and for the record, or None.

        Source: EPO repository, rlgames_utils.py: the first call only notes the interval, an
        unmet warm-up or unknown fitness waits, missed intervals are not made up for.
        """
        interval = frames // self.cfg.interval_frames
        if self._judged_interval is None:
            self._judged_interval = self._window_interval = interval
        self.promoted = None
        obstacle = self._obstacle(frames, interval, fitness)
        if obstacle:
            # The window moves on all the same: fitness must not become a mean over the whole run.
            self.verdict = obstacle
            self.is_window_over = interval > self._window_interval
            self._window_interval = interval
            return None
        self._judged_interval = self._window_interval = interval
        self.is_window_over = True
        if self.cfg.promotion_margin:
            self.promoted = operators.promotion(
                fitness.fitness,
                fitness.standard_error,
                leader_id=self.leader_id,
                margin=self.cfg.promotion_margin,
            )
        is_worth, self.verdict = self._judge(fitness)
        generation = self._generate(frames, fitness) if is_worth else None
        if generation is not None and self.promoted in generation.replaced:
            self.promoted = None  # ranked by lot even the fittest may go: its gene is a child's now
        return generation

    @torch.no_grad()
    def apply(
        self, generation: Generation, gene: Parameter, log_std: Optional[Parameter] = None
    ) -> List[Parameter]:
        """Write the children into the population, in place.

        Args:
            generation: from `step`.
            gene: [K, G] parameter.
            log_std: [K, A] parameter; changed only by `log_std=average`.

        Returns:
            What was changed, in the rows `generation.replaced`: their optimizer moments are stale.
        """
        rows, parents = generation.replaced, generation.parents
        children = operators.crossover(gene, parents, generation.shares.to(gene))
        noise = generation.noise.to(gene)
        sigma = self.cfg.mutation_sigma * self.gene_std
        children = self._mutate(children, noise, sigma)
        operators.replace(gene, rows, children)
        if log_std is not None and self.cfg.log_std == "average":
            half = log_std.new_full((len(rows), 1), 0.5)
            operators.replace(log_std, rows, operators.crossover(log_std, parents, half))
            return [gene, log_std]
        return [gene]

    def promote(self, agent: int) -> None:
        """Record that `agent` and the leader have changed places."""
        self.lineage.swap(agent, self.leader_id)
        self.num_promotions += 1

    def state_dict(self) -> Dict[str, Any]:
        """Return everything that changes."""
        return {
            "generation": self.generation,
            "judged_interval": self._judged_interval,
            "window_interval": self._window_interval,
            "num_promotions": self.num_promotions,
            "lineage": self.lineage.state_dict(),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.generation = int(state["generation"])
        self._judged_interval = state["judged_interval"]
        self._window_interval = int(state["window_interval"])
        self.num_promotions = int(state.get("num_promotions", 0))  # absent in older checkpoints
        self.lineage.load_state_dict(state["lineage"])
        self._generator.set_state(state["generator"])

    def _obstacle(self, frames: int, interval: int, fitness: Fitness) -> str:
        """Name what forbids a judgement now; empty if nothing does."""
        if not self.is_active:
            return "too few agents" if self.cfg.enabled else "switched off"
        if interval <= (self._judged_interval or 0):
            return "interval not over"
        if frames < self.cfg.warmup_frames:
            return f"warm-up until {self.cfg.warmup_frames} frames"
        unknown = self.num_agents - int(fitness.is_known.sum())
        if unknown and self.cfg.require_all_known:
            return f"{unknown} agents have unfinished first episodes"
        return ""

    def _judge(self, fitness: Fitness) -> Tuple[bool, str]:
        """Return whether the agents differ enough, and in which words."""
        cfg, spread = self.cfg, fitness_range(fitness.fitness)
        if cfg.require_spread and spread == 0.0:
            return False, "all agents are equally fit"
        errors = fitness.standard_error[~fitness.fitness.isnan()]
        chance = noise_threshold(errors, factor=cfg.noise_guard)
        if cfg.noise_guard and not spread > chance:
            return False, f"fitness range {spread:.3g} is within noise ({chance:.3g})"
        return self._is_due(fitness, cfg)

    def _generate(self, frames: int, measured: Fitness) -> Generation:
        """Draw one generation and record it in the lineage."""
        cfg, fitness = self.cfg, measured.fitness
        num_elites, num_replaced = num_roles(cfg, self.num_agents)
        random = self._generator
        standing = self._rank(fitness, random)
        selection = operators.select(
            standing,
            leader_id=self.leader_id,
            num_elites=num_elites,
            num_replaced=num_replaced,
            protect_leader=cfg.protect_leader,
            leader_is_parent=cfg.leader_is_parent,
        )
        parents = self._draw_parents(selection, standing, cfg, random)
        noise = torch.randn(num_replaced, self.gene_dim, generator=random)
        shares = self._draw_shares(num_replaced, self.gene_dim, cfg, random)
        by = "" if cfg.ranking == "fitness" else f" by {cfg.ranking}"
        self.generation += 1
        child_ids, parent_ids = self.lineage.record(self.generation, selection.replaced, parents)
        return Generation(
            number=self.generation,
            frames=frames,
            reason=self.verdict,
            operator=f"{cfg.parents}{by}, {cfg.crossover}, {_mutation(cfg)}",
            fitness=fitness,
            standard_error=measured.standard_error,
            replaced=selection.replaced,
            parents=parents,
            child_ids=child_ids,
            parent_ids=parent_ids,
            noise=noise,
            shares=shares,
        )


def _mutation(cfg: EvolutionCfg) -> str:
    kind = "" if cfg.mutation == "gaussian" else f"{cfg.mutation} "
    return f"{kind}sigma={cfg.mutation_sigma:g}"
