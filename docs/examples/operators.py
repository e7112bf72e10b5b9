"""A selection, a crossover and a mutation of your own.

python train.py plugins=[operators] algo=epo algo.evolution.parents=rank \
    algo.evolution.crossover=blend algo.evolution.mutation=sparse algo.own.sparse.rate=0.2
"""

from dataclasses import dataclass

import torch

from epo.components import crossovers, mutations, selections


@selections.register("rank")
def rank(selection, fitness, cfg, generator):
    """Draw two different parents for every replaced agent, the better the likelier.

    Args:
        selection: roles of the agents, `epo.population.operators.Selection`.
        fitness: [K] on the CPU, task units; NaN where unknown.
        cfg: `algo.evolution`.
        generator: random numbers of the population.
    """
    candidates = selection.candidates  # from best to worst
    weights = torch.arange(len(candidates), 0, -1).float().expand(len(selection.replaced), -1)
    drawn = torch.multinomial(weights, 2, generator=generator)
    return [(candidates[int(a)], candidates[int(b)]) for a, b in drawn]


@crossovers.register("blend")
def blend(num_children, gene_dim, cfg, generator):
    """Return the first parent's share [R, G] of every component: anything between, and a bit more.

    Source: BLX-alpha with alpha = 0.25 (Eshelman and Schaffer 1993).
    """
    return 1.5 * torch.rand((num_children, gene_dim), generator=generator) - 0.25


@dataclass
class SparseCfg:
    """Settings, here `algo.own.sparse.rate`."""

    rate: float = 0.1
    """Share of the components that change."""


@mutations.register("sparse", settings=SparseCfg)
def sparse(children, noise, sigma, settings):
    """Change a few components of the children [R, G]: those with the largest noise [R, G]."""
    bound = noise.abs().quantile(1.0 - settings.rate)
    return children + sigma * noise * (noise.abs() >= bound)
