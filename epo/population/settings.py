"""What must hold of the settings of evolution; their schema is in `epo.config`."""

from __future__ import annotations

from typing import Tuple

from epo.components import crossovers, mutations, rankings, selections, triggers
from epo.config import EvolutionCfg

LOG_STD_RULES = ("keep", "average")
GENE_GRADIENTS = ("always", "until_generation", "never")
ALL_NON_ELITES = -1
"""`num_replaced` of the paper: K - 1 - x, with x elites."""


def num_roles(cfg: EvolutionCfg, num_agents: int) -> Tuple[int, int]:
    """Resolve the automatic numbers of elites and of replaced agents, for K >= 3."""
    followers = num_agents - 1
    takes_all = cfg.num_replaced == ALL_NON_ELITES
    automatic = min(max(1, num_agents // 16), followers - max(1, cfg.num_elites))
    replaced = 1 if takes_all else cfg.num_replaced or automatic
    elites = cfg.num_elites or min(max(2, num_agents // 8), followers - replaced)
    return elites, followers - elites if takes_all else replaced


def trains_genes(cfg: EvolutionCfg, generation: int) -> bool:
    """Return whether the genes follow the gradient after `generation` generations."""
    if cfg.gene_gradient == "until_generation":
        return generation == 0
    return cfg.gene_gradient == "always"


def check(cfg: EvolutionCfg, num_agents: int) -> None:
    """Refuse settings that no population of K agents can follow.

    One or two agents are always accepted: they never evolve.

    Raises:
        ValueError: naming the setting, its value and the way out.
    """
    for name, options in (
        ("trigger", triggers.names),
        ("parents", selections.names),
        ("crossover", crossovers.names),
        ("mutation", mutations.names),
        ("log_std", LOG_STD_RULES),
        ("ranking", rankings.names),
        ("gene_gradient", GENE_GRADIENTS),
    ):
        if getattr(cfg, name) not in options:
            raise ValueError(f"{name}={getattr(cfg, name)!r}: choose one of {', '.join(options)}")
    for name, least in (
        ("interval_frames", 1),
        ("warmup_frames", 0),
        ("gap_ratio", 0),
        ("gap_floor", 0),
        ("noise_guard", 0),
        ("promotion_margin", 0),
        ("num_elites", 0),
        ("num_replaced", ALL_NON_ELITES),
        ("mutation_sigma", 0),
        ("tournament_size", 1),
        ("crossover_points", 1),
    ):
        if not getattr(cfg, name) >= least:
            raise ValueError(f"{name}={getattr(cfg, name)}: must be at least {least}")
    if not 0 < cfg.confidence < 1:
        raise ValueError(f"confidence={cfg.confidence}: must be between 0 and 1")
    if num_agents < 3:
        return
    if cfg.num_elites >= num_agents - 1:
        raise ValueError(
            f"num_elites={cfg.num_elites} of num_agents={num_agents}: nobody is left to be "
            f"replaced; use at most {num_agents - 2}, or 0 to choose it from num_agents"
        )
    if cfg.num_replaced > num_agents - 2:
        raise ValueError(
            f"num_replaced={cfg.num_replaced} of num_agents={num_agents}: the leader and one "
            f"elite stay; use at most {num_agents - 2}, or evolution off"
        )
    elites, replaced = num_roles(cfg, num_agents)
    if elites + replaced > num_agents - 1:
        raise ValueError(
            f"num_elites={elites} + num_replaced={replaced} exceeds the {num_agents - 1} "
            f"followers of num_agents={num_agents}: lower one of them"
        )
