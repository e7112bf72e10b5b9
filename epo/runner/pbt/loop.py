"""Training of members that share nothing but the environments' step: what PBT's backends share."""

from __future__ import annotations

import copy
import math
from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch
from torch import Tensor

from epo.config import Config
from epo.config.pbt import REWARD, pbt_of
from epo.envs import MemberEnv, VecEnv
from epo.learner.witness import first_nonfinite
from epo.models.members import MemberNetworks
from epo.population.fitness import EpisodeReturns, check_metric
from epo.population.pbt import Bookkeeping, Clock, Decision, Settings, Standing, mutate
from epo.ranks import ALONE, Ranks
from epo.record.names import FRAMES_TO_GENERATION
from epo.record.recorder import Recorder
from epo.rollout.members import MemberCollector
from epo.rollout.storage import Rollout
from epo.runner.checkpoint import plain
from epo.runner.loop import Loop
from epo.runner.nonfinite import Finding
from epo.runner.pbt.member import Member, choose_rules, member_seed
from epo.runner.recording import is_sound, play, record_rollout
from epo.runner.seeds import derive_seed
from epo.runner.snapshot import Numbers, Snapshot
from epo.terminal import say

DIVERGED = "pbt/diverged/"
"""Prefix of the columns that are 1 where a member's update was not finite; its index follows."""


class MemberLoop(Loop):
    """Members that collect together and learn apart; subclasses compare them.

    A rank trains its own members. It keeps the books of all of them, so that every rank takes the
    same decisions.

    Args:
        cfg: validated and resolved configuration.
        env: the environments, a block for each member here.
        recorder: where the numbers go.
        indices: of the members of this run; the ranks share them equally, in their order.
        ranks: that train together.

    Attributes:
        books: what is remembered of every member of the run, by its index.
        members: those of this rank.

    Raises:
        ConfigError: if a setting does not fit the task.
    """

    def __init__(
        self,
        cfg: Config,
        env: VecEnv,
        recorder: Recorder,
        indices: Sequence[int],
        ranks: Ranks = ALONE,
    ) -> None:
        self.num_here = num_here = len(indices) // ranks.size
        super().__init__(cfg, env, recorder, ranks, num_here)
        self.pbt = pbt_of(cfg.algo)
        if env.spec.metrics:
            check_metric("algo.pbt.objective", self.pbt.objective, env.spec.metrics)
        self.share = env.spec.num_envs // num_here
        self.member_env = env if isinstance(env, MemberEnv) else None
        if self.member_env is not None:
            self.member_env.separate(num_here)
        self.rules = choose_rules(self.pbt.mutable, env)
        if REWARD in self.pbt.mutable and not any(name.startswith(REWARD) for name in self.rules):
            say(f"algo.pbt.mutable: {env.spec.name} names no reward terms to mutate")
        base = self._base_settings()
        self.books = {index: Bookkeeping(dict(base)) for index in indices}
        self.members = [
            Member(
                index,
                cfg.algo,
                env,
                self.share,
                cfg.seed,
                self.books[index],
                precision=cfg.precision,
            )
            for index in indices[ranks.rank * num_here : (ranks.rank + 1) * num_here]
        ]
        if cfg.compile:
            for member in self.members:
                member.learner.objective.compile()
        self.collector = MemberCollector(
            env,
            MemberNetworks([member.model for member in self.members]),
            self.tracker,
            cfg.algo.ppo,
            seed=derive_seed(member_seed(cfg.seed, indices[0]), "action noise"),
            stopwatch=self.stopwatch,
            num_terms=len(self.member_env.reward_names) if self.member_env else 0,
            ranks=ranks,
            own=cfg.algo.own,
        )
        self.returns: Optional[EpisodeReturns] = None
        self.clock = Clock(self.pbt.interval_frames)
        self.generator = torch.Generator().manual_seed(
            derive_seed(member_seed(cfg.seed, indices[0]), "pbt")
        )
        self.best = self.spread = math.nan
        self.generation = self.num_copies = self.num_mutations = 0

    @property
    def frames_per_iteration(self) -> int:
        """Return N T."""
        return self.ranks.size * self.env.spec.num_envs * self.cfg.algo.ppo.horizon

    @property
    def member_frames(self) -> int:
        """Frames of one member so far."""
        return self.frames // len(self.books)

    def of_all(self, x: Tensor) -> Tensor:
        """Return numbers of all members [..., P] from those of the members here."""
        return self.ranks.side_by_side(x)

    def advance(self) -> Numbers:
        """Collect one rollout and let every member learn from its part."""
        with self.stopwatch.section("rollout"):
            rollout, self.returns = self.collect()
        with self.stopwatch.section("learn"):
            metrics = [
                member.learner.update(*self._share_of(p, rollout, self.returns))
                for p, member in enumerate(self.members)
            ]
        signals = self._of_members([member.learner.signals for member in self.members])
        means = {name: value.nanmean() for name, value in signals.items()}
        shown = {**self.collector.scalars, **means}
        stacked = self._of_members(metrics)
        is_finite = torch.stack([value.isfinite() for value in stacked.values()]).all(dim=0)
        sound = [is_sound(*member.model.input_normalizers) for member in self.members]
        is_sound_all = self.of_all(torch.stack(sound).double()) > 0.0
        is_finite, are_all_lost = is_finite & is_sound_all, ~is_sound_all.any()
        for index, is_fine in zip(self.books, is_finite):
            shown[f"{DIVERGED}{index}"] = 1.0 - is_fine.double()
        # A member that diverged is replaced on its own.
        watched = {"observation": torch.where(are_all_lost, math.nan, 0.0)}
        means = {name: _mean(value, is_finite) for name, value in stacked.items()}
        return Numbers(means, shown, watched)

    def _of_members(self, per_member: List[Dict[str, Tensor]]) -> Dict[str, Tensor]:
        """Gather numbers of the same names, name -> [P], from those of the members here."""
        names = per_member[0]
        if not names:
            return {}
        rows = [[metrics[name].double() for metrics in per_member] for name in names]
        found = self.of_all(torch.stack([torch.stack(row) for row in rows]))
        return {name: row.to(names[name].dtype) for name, row in zip(names, found)}

    def collect(self) -> Tuple[Rollout, Optional[EpisodeReturns]]:
        """Collect what the members learn from."""
        return self.collector.collect(), self.tracker.take_returns()

    def recording(self) -> Dict[str, Any]:
        """Return the rollout and the returns of its episodes."""
        return record_rollout(self.collector, self.returns)

    def play(self, recording: Dict[str, Any]) -> None:
        """Let the next iteration learn from a complete `recording`; nobody acts."""
        self.collect = lambda: play(recording, self.collector)

    def relearn(self, state: Dict[str, Any]) -> Optional[Finding]:
        """Repeat the last updates from `state` and say what was not finite first."""
        before, rollout = copy.deepcopy(state["members"]), self.collector.rollout
        for p, member in enumerate(self.members):
            member.load_state_dict(before[p])
            share = self._share_of(p, rollout, self.returns)
            found = first_nonfinite(member.learner, *share)
            if found is not None:
                return {**found, "agent": member.index}
        return None

    def _share_of(
        self, p: int, rollout: Rollout, returns: Optional[EpisodeReturns]
    ) -> Tuple[Rollout, Optional[EpisodeReturns]]:
        """Return what the p-th member here learns from."""
        if returns is not None:
            returns = EpisodeReturns(*(field[p : p + 1] for field in returns))
        return rollout.part(p, len(self.members)), returns

    def look(self, snapshot: Snapshot) -> None:
        """Note every member's objective.

        Raises:
            ConfigError: if the task has no such metric.
        """
        name = self.pbt.objective
        check_metric("algo.pbt.objective", name, list(snapshot.blocks))
        known = snapshot.fitness.is_known.tolist()
        for index, value, is_known in zip(self.books, snapshot.blocks[name].tolist(), known):
            is_lost = snapshot.scalars[f"{DIVERGED}{index}"] > 0.0
            self.books[index].see(value if is_known and not is_lost else math.nan)

    def standing(self, index: int) -> Standing:
        """Return what decides whether a member is left alone."""
        books = self.books[index]
        return Standing(index, books.best_seen, self.member_frames, books.changed_at)

    def mutate_start(self) -> None:
        """Mutate the settings of every member once, so that members differ from the start."""
        for index, books in self.books.items():
            self.set_settings(index, mutate(books.settings, self.rules, self.pbt, self.generator))

    def rank_of(self, index: int) -> int:
        """Return the rank that trains a member."""
        return list(self.books).index(index) // self.num_here

    def place(self, index: int) -> Optional[int]:
        """Return which of the members here a member is; None: another rank trains it."""
        indices = [member.index for member in self.members]
        return indices.index(index) if index in indices else None

    def donor_state(self, index: int) -> Dict[str, Any]:
        """Return what another member needs to become a copy of this one, which is here."""
        p = self.place(index)
        assert p is not None
        return {
            **self.members[p].trained(),
            "env": self.member_env.agent_state(p) if self.member_env else {},
            "history": list(self.books[index].history),
        }

    def change(
        self, decision: Decision, donor_state: Dict[str, Any], history: Sequence[Any]
    ) -> None:
        """Carry out a decision on a member; it starts over in its environments.

        All ranks call it; what is of another rank changes in the books only.

        Args:
            decision: what becomes of whom.
            donor_state: of the donor; read only if the decision is a copy of a member here.
            history: of the donor.

        Raises:
            KeyError, RuntimeError, ValueError: if it does not fit; nothing changes.
        """
        index, frames = decision.member, self.member_frames
        books, p = self.books[index], self.place(index)
        if decision.is_copy:
            if p is not None:
                self.members[p].take_over(donor_state)
                if self.member_env is not None:
                    self.member_env.load_agent_state(p, donor_state["env"])
            parent = (decision.donor, frames, decision.objective[decision.donor])
            books.history = [*history, parent]
            self.num_copies += 1
        self.set_settings(index, decision.settings)
        books.changed_at = frames
        self._begin_anew(p)
        row = decision.to_row(self.iteration, self.frames, self.generation + 1)
        self.recorder.generation(row)

    def end_interval(self) -> None:
        """Begin a new interval after a comparison."""
        for books in self.books.values():
            books.best_seen = -math.inf
        self.tracker.start_window()

    def set_settings(self, index: int, settings: Settings) -> None:
        """Let a member train with other settings, its reward among them."""
        books, p = self.books[index], self.place(index)
        before, books.settings = books.settings, settings
        self.num_mutations += sum(value != before[name] for name, value in settings.items())
        if p is not None:
            self.members[p].apply(settings)
            self._apply_reward(p)

    def population_row(self) -> Dict[str, float]:
        """Return the members' objectives and settings, and what was done so far."""
        left = self.clock.frames_left(self.member_frames)
        row = {
            "generation": float(self.generation),
            FRAMES_TO_GENERATION: float(left * len(self.books)),
            "pbt/best": self.best,
            "pbt/std_trimmed": self.spread,
            "pbt/copies": float(self.num_copies),
            "pbt/mutations": float(self.num_mutations),
        }
        for index, books in self.books.items():
            row[f"pbt/objective/{index}"] = books.objective
            for name, value in books.settings.items():
                row[f"pbt/hp/{name}/{index}"] = float(value)
        return row

    @property
    def _leader(self) -> int:
        """Index of the leader in the whole population; `leader_id` counts those of this run."""
        return list(self.books)[self.leader_id]

    def policy_state(self) -> Dict[str, Any]:
        """The leader's actor-critic, that of a run with one agent; nothing where it is not here."""
        p = self.place(self._leader)
        return {} if p is None else {"model": self.members[p].model.state_dict()}

    def acting_state(self) -> Dict[str, Any]:
        """Return on rank 0 the `policy_state`, wherever the leader is; all ranks call it."""
        where = self.rank_of(self._leader)
        return self.ranks.hand(lambda: plain(self.policy_state()), where, 0) or {}

    def load_policy(self, state: Dict[str, Any]) -> None:
        """Let every member take the networks and normalisers of one agent."""
        for member in self.members:
            member.model.load_state_dict(state["model"])

    def state_dict(self) -> Dict[str, Any]:
        """Everything that changes; of the members, those of this rank."""
        envs = self.member_env
        return {
            **super().state_dict(),
            "members": [
                {**member.state_dict(), "env": envs.agent_state(p) if envs else {}}
                for p, member in enumerate(self.members)
            ],
            "collector": self.collector.state_dict(),
            "clock": self.clock.state_dict(),
            "generator": self.generator.get_state(),
            "generation": self.generation,
            "num_copies": self.num_copies,
            "num_mutations": self.num_mutations,
        }

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken; it has the members of all ranks."""
        super().load_state_dict(state)
        saved = dict(zip(self.books, state["members"]))
        for index, books in self.books.items():
            books.load_state_dict(saved[index]["books"])
        for p, member in enumerate(self.members):
            member.load_state_dict(saved[member.index])
            if self.member_env is not None and "env" in saved[member.index]:
                self.member_env.load_agent_state(p, saved[member.index]["env"])
            self._apply_reward(p)
        self.collector.load_state_dict(state["collector"])
        self.clock.load_state_dict(state["clock"])
        self.generator.set_state(state["generator"])
        for name in ("generation", "num_copies", "num_mutations"):
            setattr(self, name, int(state[name]))

    def _envs(self, p: int) -> slice:
        return slice(p * self.share, (p + 1) * self.share)

    def _base_settings(self) -> Settings:
        """Return the mutable settings as they are configured; a reward term's is its factor, 1."""
        settings: Settings = {}
        for name in self.rules:
            family, _, field = name.partition(".")
            if family != REWARD:
                settings[name] = getattr(getattr(self.cfg.algo, family), field)
            else:
                assert self.member_env is not None
                parameter = self.member_env.reward_parameters.get(field)
                settings[name] = 1.0 if parameter is None else float(parameter[0])
        return settings

    def _apply_reward(self, p: int) -> None:
        """Let the reward of the p-th member here follow its settings."""
        if self.member_env is None:
            return
        names, parameters = self.member_env.reward_names, self.member_env.reward_parameters
        for name, value in self.members[p].books.settings.items():
            family, _, field = name.partition(".")
            if family == REWARD:
                is_term = field in names
                where = self.collector.weights[names.index(field)] if is_term else parameters[field]
                where[self._envs(p)] = value

    def _begin_anew(self, p: Optional[int]) -> None:
        """Begin new episodes, forget memory and objective of the p-th member here; None: elsewhere.

        Where the task cannot restart part of its environments, the present episodes continue.
        """
        if p is None:
            self.tracker.start_window()
            return
        observation: Optional[Tensor] = None
        if self.member_env is not None:
            observation = self.member_env.restart_agent(p)
            self.tracker.break_off(p)
        self.collector.restart(self._envs(p), observation)
        self.tracker.start_window([p])


def _mean(value: Tensor, is_finite: Tensor) -> Tensor:
    """Return the mean [] over the members [P] that are finite; over all if none is."""
    is_mixed = is_finite.any() & ~is_finite.all()
    finite = torch.where(is_finite, value, 0.0).sum() / is_finite.sum()
    return torch.where(is_mixed, finite, value.mean())
