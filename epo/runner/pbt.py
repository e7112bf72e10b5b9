"""Population based training in one process: all members are compared at the same moment."""

from __future__ import annotations

import math
from typing import Any, Dict, Sequence

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from epo.config import Config
from epo.config.pbt import is_files
from epo.envs import VecEnv
from epo.population import gene_distance
from epo.population.pbt import Ranking, decide, obstacle, rank, rescue
from epo.record.recorder import Recorder
from epo.runner.pbt_loop import DIVERGED, MemberLoop
from epo.runner.pbt_member import Member
from epo.runner.snapshot import Snapshot


def make_pbt(cfg: Config, env: VecEnv, recorder: Recorder) -> MemberLoop:
    """Build the backend that `algo.pbt.backend` names."""
    if is_files(cfg.algo):
        from epo.runner.pbt_files import FilesPBT

        return FilesPBT(cfg, env, recorder)
    return PBT(cfg, env, recorder)


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

    Attributes:
        weight_distance: mean distance between the parameters of two members at the last
            comparison; NaN before the first.

    Source: DexPBT (arXiv 2305.12127); one process and a common clock as in the comparison of
        EPO (arXiv 2503.19037). Deviates: docs/algorithms/pbt.md.
    """

    def __init__(self, cfg: Config, env: VecEnv, recorder: Recorder) -> None:
        super().__init__(cfg, env, recorder, range(int(cfg.num_agents)))
        self._leader_id = 0
        self.weight_distance = math.nan
        if len(self.members) > 1:
            self.mutate_start()

    @property
    def leader_id(self) -> int:
        """The member of the highest known objective; the last one known, while there is none."""
        return self._leader_id

    def evolve(self, snapshot: Snapshot) -> None:
        """Note the objectives, and compare the members when it is time."""
        self.look(snapshot)
        objective = [member.books.objective for member in self.members]
        ranking = rank(objective, self.pbt)
        self.spread, self.best = ranking.spread, math.nan
        if ranking.num_known:
            self._leader_id = ranking.best[0]
            self.best = objective[self._leader_id]
        self._rescue(ranking, snapshot)
        are_all_known = ranking.num_known == len(self.members)
        if self.clock.is_due(self.member_frames, are_all_known, patience=1):
            self.compare()

    def _rescue(self, ranking: Ranking, snapshot: Snapshot) -> None:
        """Replace members that diverged by copies of others, before they act again.

        The loop stops where all of them diverged.
        """
        lost = [m.index for m in self.members if snapshot.scalars[f"{DIVERGED}{m.index}"] > 0.0]
        settings = {member.index: member.books.settings for member in self.members}
        for p in lost:
            decision = rescue(ranking, p, lost, settings, self.rules, self.pbt, self.generator)
            self.change(p, decision, self.donor_state(decision.donor))
        self.generation += bool(lost)

    def compare(self) -> None:
        """Change the worst members, except those that are still protected."""
        ranking = rank([member.books.objective for member in self.members], self.pbt)
        self.weight_distance = float(weight_distance(self.members))
        settings = {member.index: member.books.settings for member in self.members}
        decisions = [
            decide(ranking, p, settings, self.rules, self.pbt, self.generator)
            for p in ranking.worst
            if not obstacle(ranking, self.standing(self.members[p]), self.pbt)
        ]
        self.clock.tick(self.member_frames)
        self.end_interval()
        # No member is both among the worst and the best: donors are as they were ranked.
        for decision in decisions:
            self.change(decision.member, decision, self.donor_state(decision.donor))
        self.generation += bool(decisions)

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


@torch.no_grad()
def weight_distance(members: Sequence[Member]) -> Tensor:
    """Return the mean Euclidean distance [] between the parameters of two members."""
    vectors = [parameters_to_vector(member.model.parameters()) for member in members]
    return gene_distance(torch.stack(vectors)).mean
