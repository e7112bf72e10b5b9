"""Population based training in one run: all members are compared at the same moment."""

from __future__ import annotations

import math
from typing import Any, Dict, Optional

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from epo.config import Config
from epo.config.pbt import is_files
from epo.envs import VecEnv
from epo.population import gene_distance
from epo.population.pbt import Decision, Ranking, Settings, decide, obstacle, rank, rescue
from epo.ranks import ALONE, Ranks
from epo.record.recorder import Recorder
from epo.runner.checkpoint import plain
from epo.runner.pbt.loop import DIVERGED, MemberLoop
from epo.runner.snapshot import Snapshot


def make_pbt(cfg: Config, env: VecEnv, recorder: Recorder, ranks: Ranks = ALONE) -> MemberLoop:
    """Build the backend that `algo.pbt.backend` names."""
    if is_files(cfg.algo):
        from epo.runner.pbt.files import FilesPBT

        return FilesPBT(cfg, env, recorder)
    return PBT(cfg, env, recorder, ranks)


class PBT(MemberLoop):
    """P members in P blocks of environments.

    When all members have trained for another interval, they are ranked once, and every
    member that changes learns from the best of that moment. A member without an objective delays
    the ranking by one interval.
    A member that diverges is replaced by a copy at once: the rest of the run continues.

    Args:
        cfg: validated and resolved configuration.
        env: the environments.
        recorder: where the numbers go.
        ranks: that train together, each its own members.

    Attributes:
        weight_distance: mean distance between the parameters of two members at the last
            comparison; NaN before the first.

    Source: DexPBT (arXiv 2305.12127); one process and a common clock as in the comparison of
        EPO (arXiv 2503.19037). Deviates: docs/algorithms/pbt.md.
    """

    def __init__(self, cfg: Config, env: VecEnv, recorder: Recorder, ranks: Ranks = ALONE) -> None:
        super().__init__(cfg, env, recorder, range(int(cfg.num_agents)), ranks)
        self._leader_id = 0
        self.weight_distance = math.nan
        if len(self.books) > 1:
            self.mutate_start()

    @property
    def leader_id(self) -> int:
        """The member of the highest known objective; the last one known, while there is none."""
        return self._leader_id

    def evolve(self, snapshot: Snapshot) -> None:
        """Note the objectives, and compare the members when it is time."""
        self.look(snapshot)
        objective = [books.objective for books in self.books.values()]
        ranking = rank(objective, self.pbt)
        self.spread, self.best = ranking.spread, math.nan
        if ranking.num_known:
            self._leader_id = ranking.best[0]
            self.best = objective[self._leader_id]
        self._rescue(ranking, snapshot)
        are_all_known = ranking.num_known == len(self.books)
        if self.clock.is_due(self.member_frames, are_all_known, patience=1):
            self.compare()

    def _rescue(self, ranking: Ranking, snapshot: Snapshot) -> None:
        """Replace members that diverged by copies of others, before they act again.

        The loop stops where all of them diverged.
        """
        lost = [p for p in self.books if snapshot.scalars[f"{DIVERGED}{p}"] > 0.0]
        settings = self._settings()
        for p in lost:
            decision = rescue(ranking, p, lost, settings, self.rules, self.pbt, self.generator)
            self._carry_out(decision)
        self.generation += bool(lost)

    def compare(self) -> None:
        """Change the worst members, except those that are still protected."""
        ranking = rank([books.objective for books in self.books.values()], self.pbt)
        self.weight_distance = float(self._weight_distance())
        settings = self._settings()
        decisions = [
            decide(ranking, p, settings, self.rules, self.pbt, self.generator)
            for p in ranking.worst
            if not obstacle(ranking, self.standing(p), self.pbt)
        ]
        self.clock.tick(self.member_frames)
        self.end_interval()
        # No member is both among the worst and the best: donors are as they were ranked.
        for decision in decisions:
            self._carry_out(decision)
        self.generation += bool(decisions)

    def _settings(self) -> Dict[int, Settings]:
        return {p: books.settings for p, books in self.books.items()}

    def _carry_out(self, decision: Decision) -> None:
        """Change a member; what it copies of another rank's travels from there."""
        donor_state: Optional[Dict[str, Any]] = None
        if decision.is_copy:
            donor_state = self.ranks.hand(
                lambda: plain(self.donor_state(decision.donor)),
                self.rank_of(decision.donor),
                self.rank_of(decision.member),
            )
        self.change(decision, donor_state or {}, self.books[decision.donor].history)

    @torch.no_grad()
    def _weight_distance(self) -> Tensor:
        """Return the mean Euclidean distance [] between the parameters of two members."""
        vectors = [parameters_to_vector(member.model.parameters()) for member in self.members]
        return gene_distance(self.of_all(torch.stack(vectors, dim=-1)).T).mean  # [D, P] -> [P, D]

    def population_row(self) -> Dict[str, float]:
        """Return the distance of the members' weights as well."""
        return {**super().population_row(), "pbt/weight_distance": self.weight_distance}

    def state_dict(self) -> Dict[str, Any]:
        """Everything that changes, so that a resumed run equals an uninterrupted one."""
        return {
            **super().state_dict(),
            "leader_id": self._leader_id,
            "weight_distance": self.weight_distance,
        }

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        super().load_state_dict(state)
        self._leader_id = int(state["leader_id"])
        self.weight_distance = float(state["weight_distance"])
