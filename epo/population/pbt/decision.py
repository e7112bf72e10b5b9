"""Who is changed, and into what: one rule for members in one process and in a shared folder.

Source: IsaacGymEnvs 1.5.1, `pbt/pbt.py` (DexPBT, arXiv 2305.12127).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence

import torch

from epo.config.pbt import PbtCfg, num_roles
from epo.population.pbt.mutation import Settings, draw, mutate

UNKNOWN = -1e9
"""Objective that counts where there is none."""
_DROPPED = 0.2
"""Share of the known objectives, the lowest, that do not count for the spread: crashed members."""


class Ranking(NamedTuple):
    """All members at one moment.

    Attributes:
        objective: [P] task units; `UNKNOWN` where there is none.
        best: members to copy from, best first; of equals the first is better.
        worst: members that may be changed, ascending.
        num_known: members with an objective.
        spread: standard deviation of the objectives without the lowest, task units.
    """

    objective: List[float]
    best: List[int]
    worst: List[int]
    num_known: int
    spread: float


class Standing(NamedTuple):
    """What decides, besides the ranking, whether a member is left alone.

    Attributes:
        member: its index.
        best_seen: its highest objective since the last comparison, task units.
        frames: its frames so far.
        changed_at: its frames when it was changed last, 0 at first.
    """

    member: int
    best_seen: float
    frames: int
    changed_at: int


@dataclass
class Decision:
    """A change of one member.

    Attributes:
        member: who is changed.
        donor: who was drawn from the best.
        delta: lead of the donor, task units.
        least: leads that it had to exceed, by the spread and by the donor's objective.
        is_copy: whether the member takes over the donor's weights and what belongs to them.
        settings: of the member from now on.
        before: of the member until now.
        objective: [P] of all members.
    """

    member: int
    donor: int
    delta: float
    least: Sequence[float]
    is_copy: bool
    settings: Settings
    before: Settings
    objective: List[float]

    @property
    def changes(self) -> Dict[str, List[float]]:
        """Return old and new value of the settings that differ."""
        return {
            name: [self.before[name], value]
            for name, value in self.settings.items()
            if value != self.before[name]
        }

    def to_row(self, iteration: int, frames: int, generation: int) -> Dict[str, Any]:
        """Return the row of `generations.csv`: numbers and text; lists are JSON text."""
        return {
            "iteration": iteration,
            "frames": frames,
            "generation": generation,
            "operator": "copy, mutate" if self.is_copy else "mutate",
            "replaced": json.dumps([self.member]),
            "parents": json.dumps([self.donor if self.is_copy else self.member]),
            "donor": self.donor,
            "delta": self.delta,
            "least_delta_std": self.least[0],
            "least_delta_relative": self.least[1],
            "changes": json.dumps(self.changes),
            "fitness": json.dumps([round(value, 6) for value in self.objective]),
        }


def rank(objective: Sequence[float], cfg: PbtCfg) -> Ranking:
    """Rank members by their objectives [P], task units; NaN is none."""
    known = [value for value in objective if not math.isnan(value)]
    filled = [UNKNOWN if math.isnan(value) else value for value in objective]
    order = sorted(range(len(filled)), key=lambda p: (-filled[p], p))
    num_worst, num_best = num_roles(cfg, len(filled))
    return Ranking(
        objective=filled,
        best=order[:num_best],
        worst=sorted(order[len(order) - num_worst :]),
        num_known=len(known),
        spread=trimmed_std(known),
    )


def trimmed_std(objective: Sequence[float]) -> float:
    """Return the standard deviation (of a population) without the lowest fifth, rounded down."""
    kept = sorted(objective)[int(_DROPPED * len(objective)) :]
    if not kept:
        return 0.0
    mean = sum(kept) / len(kept)
    return math.sqrt(sum((value - mean) ** 2 for value in kept) / len(kept))


def obstacle(ranking: Ranking, standing: Standing, cfg: PbtCfg) -> str:
    """Return why a member is left alone; empty if it is not."""
    if standing.frames - standing.changed_at < cfg.start_after_frames:
        return "changed a short while ago"
    if standing.frames < cfg.initial_delay_frames:
        return "training has just started"
    if standing.member not in ranking.worst:
        return "not among the worst"
    if standing.best_seen >= min(ranking.objective[p] for p in ranking.best):
        return "was as good as the best since the last comparison"
    if ranking.num_known <= max(2, len(ranking.objective) // 2):
        return "too few objectives are known"
    return ""


def rescue(
    ranking: Ranking,
    member: int,
    lost: Sequence[int],
    settings: Mapping[int, Settings],
    rules: Mapping[str, str],
    cfg: PbtCfg,
    generator: torch.Generator,
) -> Decision:
    """Decide which other member replaces one that diverged (its numbers are no longer finite).

    Its own settings led there, so those of the donor are mutated.

    Args:
        ranking: of all members.
        member: one of the lost.
        lost: members that nobody can learn from; at least one other is left.
        settings: of all members, by member.
        rules: name of a setting -> name of its rule.
        cfg: of the mutation.
        generator: on the CPU.
    """
    others = [p for p in range(len(ranking.objective)) if p not in lost]
    # While no objective is known, the first are the best, lost or not.
    donors = [p for p in ranking.best if p not in lost] or others
    donor = donors[int(draw(1, generator)[0] * len(donors))]
    return Decision(
        member=member,
        donor=donor,
        delta=ranking.objective[donor] - ranking.objective[member],
        least=(0.0, 0.0),
        is_copy=True,
        settings=mutate(settings[donor], rules, cfg, generator),
        before=dict(settings[member]),
        objective=ranking.objective,
    )


def decide(
    ranking: Ranking,
    member: int,
    settings: Mapping[int, Settings],
    rules: Mapping[str, str],
    cfg: PbtCfg,
    generator: torch.Generator,
) -> Decision:
    """Decide what becomes of a member that is not left alone.

    Drawn in this order: the donor, whose settings are mutated, then the mutations.

    Args:
        ranking: of all members.
        member: who is changed.
        settings: of the member and of the best, by member.
        rules: name of a setting -> name of its rule.
        cfg: thresholds and mutation.
        generator: on the CPU.
    """
    u_donor, u_parent = draw(2, generator)
    donor = ranking.best[int(u_donor * len(ranking.best))]
    goal = ranking.objective[donor]
    delta = goal - ranking.objective[member]
    least = (cfg.copy_std * ranking.spread, cfg.copy_relative * abs(goal))
    is_copy = delta > least[0] and delta > least[1]
    parent = donor if is_copy and u_parent < 0.5 else member
    return Decision(
        member=member,
        donor=donor,
        delta=delta,
        least=least,
        is_copy=is_copy,
        settings=mutate(settings[parent], rules, cfg, generator),
        before=dict(settings[member]),
        objective=ranking.objective,
    )
