"""Population based training of processes that meet in a folder: each is one member."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Dict

from epo.config import Config
from epo.config.pbt import pbt_of
from epo.envs import VecEnv
from epo.population.pbt import Ranking, decide, obstacle, rank
from epo.record.recorder import Recorder
from epo.runner.checkpoint import CheckpointError
from epo.runner.pbt.folder import Record, SharedFolder
from epo.runner.pbt.loop import MemberLoop
from epo.runner.snapshot import Snapshot
from epo.terminal import say


class FilesPBT(MemberLoop):
    """A run of one agent that compares itself with what the others left in a folder.

    Whenever it has trained for another interval of its own frames, it leaves a record and reads
    the others' newest that are not younger than it is. It only ever changes itself; whatever goes
    wrong with a file, it trains on.

    Args:
        cfg: validated and resolved configuration.
        env: the environments, all its own.
        recorder: where the numbers go.

    Raises:
        ConfigError: if the folder cannot be written or the member belongs to another run.

    Source: DexPBT (arXiv 2305.12127), IsaacGymEnvs 1.5.1 `pbt/pbt.py`.
        Deviates: it starts over inside the process, docs/algorithms/pbt.md.
    """

    def __init__(self, cfg: Config, env: VecEnv, recorder: Recorder) -> None:
        pbt = pbt_of(cfg.algo)
        assert pbt.member is not None and pbt.folder is not None  # checked by epo.config.pbt
        self.index = pbt.member
        super().__init__(cfg, env, recorder, [pbt.member])
        self.folder = SharedFolder(Path(pbt.folder).absolute(), pbt.member, pbt.num_members)
        self.folder.check_owner(cfg.run_dir)
        self.best_known = -math.inf
        if pbt.num_members > 1:
            self.mutate_start()

    def begin(self) -> None:
        """Take the member in the shared folder."""
        self.folder.claim(Path(str(self.cfg.run_dir)))

    def evolve(self, snapshot: Snapshot) -> None:
        """Note the objective, and compare with the others when it is time."""
        self.look(snapshot)
        is_start = self.clock.iteration is None
        is_known = not math.isnan(self.books[self.index].objective)
        is_due = self.clock.is_due(self.frames, is_known, patience=None)
        try:
            if is_start:
                self.folder.clear()
            if is_due:
                self.compare(self.clock.tick(self.frames))
        except (OSError, CheckpointError) as error:
            say(f"warning: {error}; training continues", is_error=True)
        if is_due:
            self.end_interval()

    def compare(self, iteration: int) -> None:
        """Leave a record, and change this member unless it is left alone.

        Raises:
            OSError, CheckpointError: if a file cannot be read or written; nothing is changed.
        """
        books = self.books[self.index]
        own = Record(self.index, iteration, books.objective, self.frames, books.settings)
        self.folder.write(own, {**self.donor_state(self.index), "frames": self.frames})
        records = {**self._readable(iteration), self.index: own}
        objective = [
            records[m].objective if m in records else math.nan for m in range(self.pbt.num_members)
        ]
        ranking = rank(objective, self.pbt)
        self.spread, self.best = ranking.spread, max(ranking.objective)
        if not obstacle(ranking, self.standing(self.index), self.pbt):
            self.follow(ranking, records)
        if self.best > self.best_known:
            self.folder.keep_best(records[ranking.best[0]], iteration)
            self.best_known = self.best
        self.folder.tidy()

    def follow(self, ranking: Ranking, records: Dict[int, Record]) -> None:
        """Become a copy of one of the best, or only train with other settings from now on.

        Raises:
            CheckpointError: if the donor's file cannot be used; nothing is changed.
        """
        settings = {m: record.settings for m, record in records.items()}
        decision = decide(ranking, self.index, settings, self.rules, self.pbt, self.generator)
        donor = records[decision.donor]
        donor_state = self.folder.read(donor) if decision.is_copy else {}
        try:
            self.change(decision, donor_state, donor_state.get("history", []))
        except (KeyError, RuntimeError, ValueError) as error:
            way_out = "does not fit this member; give all members the same task and network"
            raise CheckpointError(self.folder.state_path(donor), way_out) from error
        self.generation += 1

    def state_dict(self) -> Dict[str, Any]:
        """Everything that changes in this process; the folder is as it is."""
        return {**super().state_dict(), "best_known": self.best_known}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue where `state_dict` was taken, among whatever the folder holds now."""
        super().load_state_dict(state)
        self.best_known = float(state["best_known"])

    def _readable(self, iteration: int) -> Dict[int, Record]:
        """Return the members' newest records of this time, of the same mutable settings as here."""
        found = self.folder.newest(iteration)
        return {m: record for m, record in found.items() if set(record.settings) == set(self.rules)}
