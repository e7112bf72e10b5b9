"""What rank 0 writes and what all ranks decide together, with ranks as threads."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Callable, List

import pytest
import torch

from epo.envs import EnvError
from epo.ranks import Ranks
from epo.ranks.alone import GONE
from epo.record.recorder import Recorder
from epo.runner import checkpoint
from epo.runner.run_folder import RunFolder
from epo.runner.session import Session
from epo.runner.trainer import Trainer
from tests.learner.small_run import small_cfg
from tests.ranks.threads import on_ranks, trainer

K, N = 2, 16


def sessions(path: Path, change: Callable[[Trainer, int], None], **settings: Any) -> List[int]:
    """Run a session of two ranks in one folder and return the exit codes."""

    def work(ranks: Ranks) -> int:
        folder = RunFolder(path)
        folder.last.parent.mkdir(parents=True, exist_ok=True)
        loop = trainer(small_cfg(), K, N, ranks, run_dir=str(path), **settings)
        change(loop, ranks.rank)
        return Session(loop, folder, Recorder([])).run()

    return on_ranks(2, work, timeout_s=5.0)


def test_limits_are_reached_together_and_rank_0_saves_the_whole(tmp_path: Path):
    assert sessions(tmp_path, lambda *_: None, max_iterations=3) == [0, 0]
    state = checkpoint.load(tmp_path / "checkpoints" / "last.pt")
    assert state["iteration"] == 3 and len(state["other_ranks"]) == 1
    assert RunFolder(tmp_path).read_summary()["status"] == "finished"


def test_minutes_are_those_of_rank_0(tmp_path: Path):
    def change(loop: Trainer, rank: int) -> None:
        loop._last_end -= 3600.0 * rank  # the clock of rank 1 is an hour ahead

    assert sessions(tmp_path, change, max_minutes=30.0, max_iterations=2) == [0, 0]
    assert RunFolder(tmp_path).read_summary()["iteration"] == 2


def test_numbers_that_are_not_finite_on_one_rank_end_all_of_them(tmp_path: Path, capsys: Any):
    def change(loop: Trainer, rank: int) -> None:
        step = loop.env.step

        def spoilt(action: torch.Tensor) -> Any:
            result = step(action)
            if rank == 1 and loop.iteration == 2:
                result.reward[0] = math.nan
            return result

        loop.env.step = spoilt  # type: ignore[method-assign]

    assert sessions(tmp_path, change, max_iterations=5) == [1, 1]
    said = capsys.readouterr().err
    assert said.count("error:") == 1 and "iteration 2 is saved" in said
    state = checkpoint.load(tmp_path / "checkpoints" / "last.pt")
    assert state["iteration"] == 2 and len(state["other_ranks"]) == 1


@pytest.mark.parametrize("where", [0, 1])
def test_a_rank_that_fails_alone_is_named_by_itself_and_by_the_other(
    tmp_path: Path, where: int, capsys: Any
):
    def change(loop: Trainer, rank: int) -> None:
        step = loop.env.step

        def failing(action: torch.Tensor) -> Any:
            if rank == where and loop.iteration == 1:
                raise EnvError("the simulator is gone")
            return step(action)

        loop.env.step = failing  # type: ignore[method-assign]

    codes = sessions(tmp_path, change, max_iterations=5)
    assert codes[where] == 1 and codes[1 - where] == GONE
    said = capsys.readouterr().err
    assert f"error: rank {where}: the simulator is gone" in said
    assert f"rank {where} of 2 does not answer within guard.rank_timeout_s=5" in said
