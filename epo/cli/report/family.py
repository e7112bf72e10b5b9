"""The family tree: every gene that ever lived, and what became of it."""

from __future__ import annotations

import math
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from epo.cli.report.record import Generation


class Life(NamedTuple):
    """One gene from its birth to its end.

    Attributes:
        gene_id: 0 to K - 1 for the first population.
        agent: index of the agent that carried it.
        birth: generation in which it was born; 0: the first population.
        death: generation in which it was replaced; None: it lives.
        parents: gene ids; None for the first population.
        fitness: generation -> fitness at its decision, task units.
        num_children: genes that it is a parent of.
        predecessor: fitness of the gene that it replaced, at that decision; NaN: unknown.
    """

    gene_id: int
    agent: int
    birth: int
    death: Optional[int]
    parents: Optional[Tuple[int, int]]
    fitness: Dict[int, float]
    num_children: int
    predecessor: float

    @property
    def last_fitness(self) -> float:
        """Its fitness when it was judged last; NaN if it never was."""
        return list(self.fitness.values())[-1] if self.fitness else math.nan

    @property
    def fate(self) -> str:
        """Return what became of it."""
        end = "lives" if self.death is None else f"replaced in generation {self.death}"
        if not self.num_children:
            return end
        return f"{end}, {self.num_children} {'child' if self.num_children == 1 else 'children'}"


def lives(generations: Sequence[Generation]) -> List[Life]:
    """Follow every gene through the generations, in the order of their ids."""
    if not generations:
        return []
    num_agents = len(generations[0].fitness)
    holder = list(range(num_agents))  # gene id of every agent
    found = {k: Life(k, k, 0, None, None, {}, 0, math.nan) for k in range(num_agents)}
    for generation in generations:
        for agent, gene_id in enumerate(holder):
            found[gene_id].fitness[generation.number] = float(generation.fitness[agent])
        before = list(holder)  # a replaced agent may be a parent as well
        born = zip(generation.replaced, generation.parents, generation.child_ids)
        for agent, (first, second), child in born:
            parents = (before[first], before[second])
            for parent in set(parents):
                life = found[parent]
                found[parent] = life._replace(num_children=life.num_children + 1)
            found[before[agent]] = found[before[agent]]._replace(death=generation.number)
            predecessor = float(generation.fitness[agent])
            found[child] = Life(child, agent, generation.number, None, parents, {}, 0, predecessor)
            holder[agent] = child
    return [found[gene_id] for gene_id in sorted(found)]


def children_summary(family: Sequence[Life]) -> str:
    """Say in one sentence what became of the children."""
    children = [life for life in family if life.birth > 0]
    judged = [life for life in children if life.fitness and not math.isnan(life.predecessor)]
    better = sum(next(iter(life.fitness.values())) > life.predecessor for life in judged)
    alive = sum(life.death is None for life in children)
    parents = sum(life.num_children > 0 for life in children)
    return (
        f"{len(children)} children were born; {alive} of them live, {parents} became parents. "
        f"{better} of the {len(judged)} that were judged were fitter at their first judgement than "
        "the gene that they replaced had been."
    )
