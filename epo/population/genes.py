"""Genes and their family tree."""

from __future__ import annotations

import json
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor


class GeneDistance(NamedTuple):
    """Distances between all pairs of genes, [] each, in units of the gene."""

    mean: Tensor
    minimum: Tensor


@torch.no_grad()
def gene_distance(genes: Tensor) -> GeneDistance:
    """Measure how diverse the genes are; zero for a single agent.

    The expected mean is about sqrt(2 G) for fresh N(0, 1) genes: 8 for G = 32.

    Args:
        genes: [K, G].
    """
    if len(genes) < 2:
        return GeneDistance(genes.new_zeros(()), genes.new_zeros(()))
    distance = torch.pdist(genes)  # [K, G] -> [K (K - 1) / 2]
    return GeneDistance(distance.mean(), distance.min())


def gene_row(genes: Tensor, ids: List[int], fitness: Tensor) -> Dict[str, str]:
    """Give the cells of `genes.csv` about a population, as JSON text.

    Args:
        genes: [K, G].
        ids: gene id per agent.
        fitness: [K] on the CPU, task units; NaN where unknown.
    """
    rounded = [[round(float(value), 5) for value in row] for row in genes.cpu()]
    return {
        "ids": json.dumps(ids),
        "fitness": json.dumps([round(float(value), 6) for value in fitness]),
        "genes": json.dumps(rounded, separators=(",", ":")),
    }


class Lineage:
    """Who descends from whom: every gene that ever lived has its own number.

    Attributes:
        ids: gene id per agent.
        parents: the parents' gene ids per agent; None for the first population.
        births: generation in which the agent's gene was born.
    """

    def __init__(self, num_agents: int) -> None:
        """Number the first population 0 to K - 1."""
        self.ids: List[int] = list(range(num_agents))
        self.parents: List[Optional[Tuple[int, int]]] = [None] * num_agents
        self.births: List[int] = [0] * num_agents
        self._next_id = num_agents

    def ages(self, generation: int) -> List[int]:
        """Return the age of every agent's gene, in generations."""
        return [generation - birth for birth in self.births]

    def record(
        self, generation: int, replaced: List[int], parents: List[Tuple[int, int]]
    ) -> Tuple[List[int], List[Tuple[int, int]]]:
        """Enter the children of one generation.

        Args:
            generation: number of this generation, 1 for the first.
            replaced: agents that receive a child.
            parents: two agent indices per child.

        Returns:
            The children's gene ids and their parents' gene ids.
        """
        # Read before any id changes: a replaced agent may be a parent as well.
        parent_ids = [(self.ids[a], self.ids[b]) for a, b in parents]
        child_ids = list(range(self._next_id, self._next_id + len(replaced)))
        for k, child_id, pair in zip(replaced, child_ids, parent_ids):
            self.ids[k], self.parents[k], self.births[k] = child_id, pair, generation
        self._next_id += len(replaced)
        return child_ids, parent_ids

    def swap(self, agent: int, other: int) -> None:
        """Let two agents exchange their genes."""
        a, b = agent, other
        self.ids[a], self.ids[b] = self.ids[b], self.ids[a]
        self.parents[a], self.parents[b] = self.parents[b], self.parents[a]
        self.births[a], self.births[b] = self.births[b], self.births[a]

    def state_dict(self) -> Dict[str, Any]:
        """Return the family tree of the living as plain values."""
        return {
            "ids": list(self.ids),
            "parents": list(self.parents),
            "births": list(self.births),
            "next_id": self._next_id,
        }

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.ids = list(state["ids"])
        self.parents = [None if pair is None else (pair[0], pair[1]) for pair in state["parents"]]
        self.births = list(state["births"])
        self._next_id = int(state["next_id"])
