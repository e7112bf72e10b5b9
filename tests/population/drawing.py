"""The operators by name, with the settings that a test varies."""

from __future__ import annotations

import torch
from torch import Tensor

from epo.components import crossovers, selections
from epo.config import EvolutionCfg
from epo.population.operators import Parents, Selection


def draw_parents(
    selection: Selection,
    fitness: Tensor,
    rule: str,
    generator: torch.Generator,
    tournament_size: int = 3,
) -> Parents:
    """Choose two parents for every replaced agent."""
    cfg = EvolutionCfg(tournament_size=tournament_size)
    return selections.get(rule)(selection, fitness, cfg, generator)


def draw_shares(
    num_children: int, gene_dim: int, rule: str, num_points: int, generator: torch.Generator
) -> Tensor:
    """Return the first parents' shares [R, G]."""
    cfg = EvolutionCfg(crossover_points=num_points)
    return crossovers.get(rule)(num_children, gene_dim, cfg, generator)
