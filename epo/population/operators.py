"""The four genetic operators: select, crossover, mutate, replace.

All are pure functions of small host data, except `replace`, which edits rows in place.
"""

from __future__ import annotations

from typing import List, NamedTuple, Tuple

import torch
from torch import Tensor

PARENT_RULES = ("elite_x_survivor", "top2")

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
    """Give every agent its role in the coming generation.

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


def survival_weights(fitness: Tensor) -> Tensor:
    """Turn the fitness of some agents into weights of survival.

    Args:
        fitness: [S] task units; NaN where unknown.

    Returns:
        [S] weights >= 0: fitness above the worst of the S; all 1 where nothing differs.

    Source: EPO paper section 4.1, "survival probability proportional to relative fitness".
    Deviates: fitness is counted from the worst agent, since returns may be negative.
    """
    known = torch.nan_to_num(fitness, nan=torch.inf)
    worst = known.min()
    weights = torch.nan_to_num(fitness - worst, nan=0.0)
    return weights if bool(weights.sum() > 0) else torch.ones_like(fitness)


def draw_parents(
    selection: Selection, fitness: Tensor, rule: str, generator: torch.Generator
) -> Parents:
    """Choose two parents for every replaced agent.

    Args:
        selection: roles of the agents.
        fitness: [K] on the CPU, task units.
        rule: "top2", the two best candidates for every child (nothing is drawn); or
            "elite_x_survivor", one elite (uniform) and one survivor (proportional to
            fitness), drawn anew for every child.
        generator: CPU generator of the population.

    Returns:
        One pair of agent indices per replaced agent.

    Source: "top2" EPO repository; "elite_x_survivor" EPO paper section 4.1.
    """
    if rule == "top2":
        best = (selection.candidates[0], selection.candidates[1])
        return [best] * len(selection.replaced)
    weights = survival_weights(fitness[selection.survivors])
    num_children = len(selection.replaced)
    first = torch.randint(len(selection.elites), (num_children,), generator=generator)
    second = torch.multinomial(weights, num_children, replacement=True, generator=generator)
    pairs = zip(first, second)
    return [(selection.elites[int(e)], selection.survivors[int(s)]) for e, s in pairs]


def crossover(genes: Tensor, parents: Parents) -> Tensor:
    """Average the rows of the two parents of every child.

    Args:
        genes: [K, G] present genes.
        parents: R pairs of agent indices.

    Returns:
        [R, G] children, a new tensor.

    Source: EPO paper section 4.1.
    """
    pairs = torch.tensor(parents, device=genes.device)
    return genes[pairs].mean(dim=1)  # [R, 2, G] -> [R, G]


def mutate(children: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """Add Gaussian noise N(0, sigma^2) to the children.

    Args:
        children: [R, G] genes.
        noise: [R, G] standard normal numbers.
        sigma: standard deviation, in units of the gene (whose initial spread is 1).

    Source: EPO paper section 4.1.
    """
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
