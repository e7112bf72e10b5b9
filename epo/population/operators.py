"""The four genetic operators: select, crossover, mutate, replace.

All are pure functions of small host data, except `replace`, which edits rows in place. Those that
settings choose among stand in the tables of `epo.components`.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from epo.config import EvolutionCfg

Parents = List[Tuple[int, int]]


class Selection(NamedTuple):
    """Roles of the agents in one generation; every list runs from best to worst.

    Attributes:
        elites: best followers; never replaced.
        survivors: who else may be a parent.
        replaced: agents that get a child's gene.
        candidates: all agents that may be a parent.
    """

    elites: List[int]
    survivors: List[int]
    replaced: List[int]
    candidates: List[int]


def rank(fitness: Tensor) -> List[int]:
    """Order the agents from best to worst.

    Ties go to the higher index and an unknown fitness (NaN) is the worst, as in the
    released code.

    Args:
        fitness: [K] on the CPU, task units.

    Returns:
        All agent indices, by (fitness, index) descending.

    Source: EPO repository, rlgames_utils.py (sort of (score, index) pairs).
    """
    known = torch.nan_to_num(fitness, nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
    return [int(k) for k in torch.argsort(known, stable=True).flip(0)]


def select(
    fitness: Tensor,
    *,
    leader_id: int,
    num_elites: int,
    num_replaced: int,
    protect_leader: bool = True,
    leader_is_parent: bool = False,
) -> Selection:
    """Assign every agent its role in the coming generation.

    Survivors are the agents that are neither elite nor replaced. Where none is left
    (every non-elite is replaced) they are the outgoing generation: genes about to be
    replaced, which then pass on half of themselves.

    Args:
        fitness: [K] on the CPU, task units; NaN where unknown.
        leader_id: index of the leader, which is never an elite.
        num_elites: best followers that are kept, in [1, K - 1].
        num_replaced: worst agents that are replaced, in [1, K - 2].
        protect_leader: whether the leader is never replaced.
        leader_is_parent: whether the leader may be a parent.

    Source: EPO paper (arXiv 2503.19037) section 4.1.
    """
    order = rank(fitness)
    elites = [k for k in order if k != leader_id][:num_elites]
    mortal = [k for k in order if k not in elites and not (protect_leader and k == leader_id)]
    replaced = mortal[-num_replaced:]
    candidates = [k for k in order if leader_is_parent or k != leader_id]
    outgoing = [k for k in candidates if k not in elites]
    survivors = [k for k in outgoing if k not in replaced]
    return Selection(elites, survivors or outgoing, replaced, candidates)


def promotion(
    fitness: Tensor, standard_error: Tensor, *, leader_id: int, margin: float
) -> Optional[int]:
    """Name the follower that should lead instead of the leader, if there is one.

    Args:
        fitness: [K] on the CPU, task units; NaN where unknown.
        standard_error: [K] of the fitness, infinite where unknown.
        leader_id: index of the leader.
        margin: least lead, in standard errors of the difference.

    Source: ours. The best of many equal followers leads by chance: with 15 of them a margin of 2 is
        passed in one judgement of six, at the cost of a leader that is as good as the last.
    """
    order = [k for k in rank(fitness) if k != leader_id]
    if not order:
        return None
    best = order[0]
    # F_best - F_leader > m sqrt(s_best^2 + s_leader^2); nothing follows from a NaN
    lead = fitness[best] - fitness[leader_id]
    error = torch.hypot(standard_error[best], standard_error[leader_id])
    return best if bool(lead > margin * error) else None


def survival_weights(fitness: Tensor) -> Tensor:
    """Turn the fitness of some agents into weights of survival.

    Args:
        fitness: [S] task units; NaN where unknown.

    Returns:
        [S] weights >= 0: fitness above the worst of the S; all 1 where nothing differs.

    Source: EPO paper section 4.1, "survival probability proportional to relative fitness".
    Deviates: fitness is counted from the worst agent, since returns may be negative.
    """
    # w_k = F_k - min_j F_j,  P(k) = w_k / sum_j w_j   (EPO section 4.1)
    known = torch.nan_to_num(fitness, nan=torch.inf)
    worst = known.min()
    weights = torch.nan_to_num(fitness - worst, nan=0.0)
    return weights if bool(weights.sum() > 0) else torch.ones_like(fitness)


def by_fitness(fitness: Tensor, generator: torch.Generator) -> Tensor:
    """Return the fitness [K] as it is; nothing is drawn."""
    return fitness


def by_lot(fitness: Tensor, generator: torch.Generator) -> Tensor:
    """Return a standing [K] that is drawn anew."""
    return torch.randperm(len(fitness), generator=generator).to(fitness)


# Whose children replace the weak: two parents, which differ, for every replaced agent. Each takes
# the roles, the fitness [K] on the CPU, the settings and the generator of the population.


def top2(
    selection: Selection, fitness: Tensor, cfg: EvolutionCfg, generator: torch.Generator
) -> Parents:
    """Return the two best candidates for every child; nothing is drawn.

    Source: EPO repository.
    """
    return [(selection.candidates[0], selection.candidates[1])] * len(selection.replaced)


def elite_x_survivor(
    selection: Selection, fitness: Tensor, cfg: EvolutionCfg, generator: torch.Generator
) -> Parents:
    """Draw an elite (uniform) and a survivor (proportional to fitness) for every child.

    Source: EPO paper section 4.1.
    """
    num_children = len(selection.replaced)
    weights = survival_weights(fitness[selection.survivors])
    first = torch.randint(len(selection.elites), (num_children,), generator=generator)
    second = torch.multinomial(weights, num_children, replacement=True, generator=generator)
    pairs = zip(first, second)
    return [(selection.elites[int(e)], selection.survivors[int(s)]) for e, s in pairs]


def proportional(
    selection: Selection, fitness: Tensor, cfg: EvolutionCfg, generator: torch.Generator
) -> Parents:
    """Draw two candidates in proportion to fitness for every child.

    Source: Goldberg and Deb 1991.
    """
    candidates = selection.candidates
    # A little weight for the worst: two different parents must be there to be drawn.
    weights = survival_weights(fitness[candidates]).double()
    weights = (weights + 1e-6 * weights.max()).expand(len(selection.replaced), -1)
    drawn = torch.multinomial(weights, 2, replacement=False, generator=generator)
    return [(candidates[int(a)], candidates[int(b)]) for a, b in drawn]


def tournament(
    selection: Selection, fitness: Tensor, cfg: EvolutionCfg, generator: torch.Generator
) -> Parents:
    """Take twice the best of `tournament_size` candidates, drawn at random, for every child.

    Source: Goldberg and Deb 1991.
    """
    size, candidates = cfg.tournament_size, selection.candidates
    return [_tournaments(candidates, size, generator) for _ in selection.replaced]


def _tournaments(candidates: List[int], size: int, generator: torch.Generator) -> Tuple[int, int]:
    """Return the winners of two tournaments; `candidates` run from best to worst."""
    winners: List[int] = []
    for _ in range(2):
        rest = [k for k in candidates if k not in winners]
        # Position in the ranking: the least one wins.
        drawn = torch.randperm(len(rest), generator=generator)[:size]
        winners.append(rest[int(drawn.min())])
    return winners[0], winners[1]


# How much of every component of a child comes from its first parent, [R, G] in [0, 1]. Each takes
# R, G, the settings and the generator of the population.


def average(
    num_children: int, gene_dim: int, cfg: EvolutionCfg, generator: torch.Generator
) -> Tensor:
    """Return half of everything; nothing is drawn.

    Source: EPO paper section 4.1, which names k-point and uniform crossover as others.
    """
    return torch.full((num_children, gene_dim), 0.5)


def first_parent(
    num_children: int, gene_dim: int, cfg: EvolutionCfg, generator: torch.Generator
) -> Tensor:
    """Return all of everything: a copy; nothing is drawn."""
    return torch.ones(num_children, gene_dim)


def uniform(
    num_children: int, gene_dim: int, cfg: EvolutionCfg, generator: torch.Generator
) -> Tensor:
    """Draw each component from one parent or the other."""
    return torch.randint(2, (num_children, gene_dim), generator=generator).float()


def k_point(
    num_children: int, gene_dim: int, cfg: EvolutionCfg, generator: torch.Generator
) -> Tensor:
    """Cut the gene at `crossover_points` random places, at most G - 1; the parents take turns."""
    order = torch.stack(
        [torch.randperm(gene_dim - 1, generator=generator) for _ in range(num_children)]
    )
    is_cut = torch.zeros(num_children, gene_dim)
    is_cut.scatter_(1, 1 + order[:, : cfg.crossover_points], 1.0)  # a cut lies before a component
    first = torch.randint(2, (num_children, 1), generator=generator)  # who begins
    return (is_cut.cumsum(dim=1) + first) % 2


def crossover(genes: Tensor, parents: Parents, shares: Tensor) -> Tensor:
    """Mix the rows of the two parents of every child.

    Args:
        genes: [K, G] present genes.
        parents: R pairs of agent indices.
        shares: [R, G] or [R, 1] share of the first parent, in [0, 1].

    Returns:
        [R, G] children, a new tensor.
    """
    # [K, G] -> [R, 2, G] -> 2 x [R, G]
    first, second = genes[torch.tensor(parents, device=genes.device)].unbind(1)
    # phi' = s phi_a + (1 - s) phi_b;  s = 1/2 is the paper's average   (EPO section 4.1)
    return shares * first + (1.0 - shares) * second


def gaussian(children: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """Add N(0, sigma^2) to the children.

    Args:
        children: [R, G] genes.
        noise: [R, G] standard normal numbers.
        sigma: `mutation_sigma` in the gene's own unit.

    Source: EPO paper section 4.1.
    """
    # phi'' = phi' + xi,  xi ~ N(0, sigma^2 I)   (EPO section 4.1)
    return children + sigma * noise


@torch.no_grad()
def replace(table: Tensor, rows: List[int], children: Tensor) -> None:
    """Write the children into their rows, in place.

    The table is a parameter that an optimizer holds: a new object would never be trained
    again (the bug of the released code), so the old one is edited.

    Args:
        table: [K, G] parameter.
        rows: R agent indices.
        children: [R, G] new rows.
    """
    table[torch.tensor(rows, device=table.device)] = children
