"""Members that meet in a folder: what one does with what the others left, and without it."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Optional

import pytest
import torch

from epo.record.recorder import Recorder
from epo.runner.checkpoint import CheckpointError
from epo.runner.pbt import folder as pbt_folder
from epo.runner.pbt.files import FilesPBT
from epo.runner.pbt.process import make_pbt
from tests.runner.pbt.runs import OpenProbe, Rows, config, same, weights

OPEN = (
    "algo.pbt.initial_delay_frames=0",
    "algo.pbt.start_after_frames=0",
    "algo.pbt.interval_frames=1000",
)
"""Members are compared when a test says so."""
OFTEN = "algo.pbt.interval_frames=32"
"""Or after every second iteration of 16 frames."""


def process(path: Path, member: int, *overrides: str, sink: Optional[Rows] = None) -> FilesPBT:
    """Build one member of three, in 4 environments of its own."""
    cfg = config(
        "num_agents=1",
        "num_envs=4",
        "algo.pbt.backend=files",
        f"algo.pbt.folder={path}/population",
        f"algo.pbt.member={member}",
        "algo.pbt.num_members=3",
        f"run_dir={path}/run{member}",
        *OPEN,
        *overrides,
    )
    pbt = make_pbt(cfg, OpenProbe(4), Recorder([sink] if sink else []))
    assert isinstance(pbt, FilesPBT)
    pbt.begin()
    return pbt


def train(pbt: FilesPBT, num: int = 3) -> FilesPBT:
    for _ in range(num):
        pbt.iterate()
    return pbt


def compare(pbt: FilesPBT, objective: float, iteration: int = 9) -> None:
    """Pretend that the member has this objective, and compare it."""
    books = pbt.members[0].books
    books.objective = books.best_seen = objective
    pbt.compare(iteration)


def others(path: Path, *overrides: str) -> FilesPBT:
    """Leave records of members 0 and 1, with objectives 10 and 9; give the best one."""
    second = train(process(path, 1, *overrides))
    compare(second, 9.0, 8)
    best = train(process(path, 0, *overrides))
    compare(best, 10.0, 8)
    return best


def test_processes_differ_although_their_seed_is_the_same(tmp_path: Path):
    first, second = (process(tmp_path, m, "algo.pbt.mutation_rate=1") for m in range(2))
    assert not same(weights(first.members[0].model), weights(second.members[0].model))
    assert first.members[0].books.settings != second.members[0].books.settings


def test_every_process_keeps_the_networks_of_its_own_member(tmp_path: Path):
    for index in range(2):
        pbt = process(tmp_path, index)
        for state in (pbt.policy_state(), pbt.acting_state(), pbt.state_dict()):
            assert same(state["model"], weights(pbt.members[0].model))


def test_member_far_behind_becomes_a_copy_of_the_best(tmp_path: Path):
    sink = Rows()
    best = others(tmp_path, "algo.pbt.mutation_rate=0")
    worst = train(process(tmp_path, 2, "algo.pbt.mutation_rate=0", sink=sink), 4)
    compare(worst, 0.0)
    copied, given = worst.members[0], best.members[0]
    assert same(weights(copied.model), weights(given.model))
    assert copied.books.history == [(0, 64, 10.0)]
    assert copied.books.changed_at == worst.frames == copied.learner.frames == 64
    assert worst.collector.state_dict()["is_first"].all()
    assert worst.tracker.known_counts().tolist() == [0]
    (row,) = sink.generations
    assert (row["replaced"], row["parents"]) == ("[2]", "[0]")
    assert row["fitness"] == "[10.0, 9.0, 0.0]" and worst.num_copies == 1
    assert train(worst, 1).last_metrics["pbt/copies"] == 1.0


def test_only_the_past_counts(tmp_path: Path):
    others(tmp_path)  # records of comparison 8
    worst = train(process(tmp_path, 2))
    compare(worst, 0.0, iteration=7)
    assert worst.generation == 0 and worst.best == 0.0
    compare(worst, 0.0, iteration=8)
    assert worst.generation == 1 and worst.best == 10.0


def test_record_holds_what_others_need(tmp_path: Path):
    others(tmp_path)
    content = json.loads((tmp_path / "population/00/00000008.json").read_text())
    assert (content["member"], content["iteration"], content["objective"]) == (0, 8, 10.0)
    assert content["frames"] == 48 and content["settings"]["ppo.num_epochs"] in (1, 2)
    assert (tmp_path / "population/00/00000008.pt").is_file()
    assert (tmp_path / "population/00/best/00000008_member00.pt").is_file()


def test_records_are_left_at_every_multiple_of_the_interval(tmp_path: Path):
    train(process(tmp_path, 0, OFTEN), 7)
    names = sorted(path.name for path in (tmp_path / "population/00").glob("*.json"))
    assert names == ["00000001.json", "00000002.json", "00000003.json"]


@pytest.mark.parametrize("harm", ["gone", "damaged", "network"])
def test_donor_that_cannot_be_read_changes_nothing(tmp_path: Path, harm: str):
    others(tmp_path, *(["algo.network.mlp_units=[9]"] if harm == "network" else []))
    for member in (0, 1):
        state = tmp_path / f"population/{member:02d}/00000008.pt"
        if harm == "gone":
            state.unlink()
        elif harm == "damaged":
            state.write_bytes(state.read_bytes()[:-200])
    worst = train(process(tmp_path, 2))
    member = worst.members[0]
    before = weights(member.model), copy.deepcopy(member.learner.optimizer.state_dict())
    settings = dict(member.books.settings)
    with pytest.raises(CheckpointError):
        compare(worst, 0.0)
    assert same(weights(member.model), before[0])
    after = member.learner.optimizer.state_dict()["state"]
    assert all(same(before[1]["state"][i], after[i]) for i in after)
    assert member.books.settings == settings and worst.generation == worst.num_copies == 0
    train(worst, 1)


def test_full_disk_is_a_warning_and_training_goes_on(tmp_path: Path, monkeypatch, capsys):
    def full(path, state):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(pbt_folder.checkpoint, "save", full)
    pbt = train(process(tmp_path, 0, OFTEN), 5)
    assert pbt.iteration == 5
    assert capsys.readouterr().err.count("No space left on device") == 2  # one per comparison
    monkeypatch.undo()
    train(pbt, 2)
    assert [path.name for path in (tmp_path / "population/00").glob("*.json")] == ["00000003.json"]


def test_fresh_start_forgets_records_of_an_earlier_start_and_a_resume_does_not(tmp_path: Path):
    own = tmp_path / "population/00"
    earlier = train(process(tmp_path, 0, OFTEN), 5)
    state = copy.deepcopy(earlier.state_dict())
    resumed = process(tmp_path, 0, OFTEN)
    resumed.load_state_dict(state)
    train(resumed, 1)
    assert (own / "00000001.json").exists() and (own / "00000002.json").exists()
    train(process(tmp_path, 0, OFTEN), 1)
    assert not list(own.glob("*.json"))


def test_resumed_member_equals_an_uninterrupted_one(tmp_path: Path):
    whole = train(process(tmp_path, 0, OFTEN), 7)
    first = train(process(tmp_path / "again", 0, OFTEN), 4)
    second = process(tmp_path / "again", 0, OFTEN)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train(second, 3)
    assert same(weights(whole.members[0].model), weights(second.members[0].model))
    assert whole.members[0].books == second.members[0].books
    assert torch.equal(whole.generator.get_state(), second.generator.get_state())


def test_members_of_other_mutable_settings_are_no_rivals(tmp_path: Path):
    others(tmp_path, "algo.pbt.mutable=[ppo.gamma]")
    worst = train(process(tmp_path, 2))
    compare(worst, 0.0)
    assert worst.generation == 0 and math.isclose(worst.best, 0.0)
