"""The shared folder: who may write, what is read, what is kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from epo.config import ConfigError
from epo.runner.checkpoint import CheckpointError
from epo.runner.pbt.folder import Record, SharedFolder, superfluous


def record(member: int, iteration: int, objective: float = 1.0) -> Record:
    return Record(member, iteration, objective, 100 * iteration, {"ppo.gamma": 0.99})


def folder(path: Path, member: int = 0, num_members: int = 3) -> SharedFolder:
    shared = SharedFolder(path / "population", member, num_members)
    shared.claim(path / f"run{member}")
    return shared


def test_newest_is_the_one_that_is_not_younger_than_the_reader(tmp_path: Path):
    for member in (0, 1):
        for iteration in (1, 2, 5):
            state = {"x": torch.full((2,), float(iteration))}
            folder(tmp_path, member).write(record(member, iteration), state)
    reader = folder(tmp_path, 2)
    assert {m: found.iteration for m, found in reader.newest(4).items()} == {0: 2, 1: 2}
    assert reader.newest(0) == {}
    assert reader.newest(9)[1] == record(1, 5)
    assert reader.read(reader.newest(4)[1])["x"].tolist() == [2.0, 2.0]


def test_half_written_and_damaged_records_are_passed_over(tmp_path: Path):
    shared = folder(tmp_path)
    shared.write(record(0, 1), {})
    own = tmp_path / "population" / "00"
    # Killed while it wrote the state, or the record; then a disk that damaged a record.
    (own / "00000002.pt.tmp").write_bytes(b"PK")
    (own / "00000003.pt").write_bytes(b"PK")
    (own / "00000003.json.tmp").write_text('{"member": 0, "itera')
    (own / "00000004.json").write_text('{"member": 0, "itera')
    (own / "00000005.json").write_text('{"member": 0}')
    (own / "notes.json").write_text("{}")
    assert folder(tmp_path, 1).newest(9) == {0: record(0, 1)}


def test_state_that_is_gone_is_an_error_with_its_name(tmp_path: Path):
    shared = folder(tmp_path)
    shared.write(record(0, 1), {})
    (tmp_path / "population/00/00000001.pt").unlink()
    with pytest.raises(CheckpointError, match=r"00000001\.pt: there is no such file"):
        shared.read(record(0, 1))


def test_member_belongs_to_one_run(tmp_path: Path):
    folder(tmp_path, 1)
    folder(tmp_path, 1)  # the same run again: it was restarted
    other = SharedFolder(tmp_path / "population", 1, 3)
    with pytest.raises(ConfigError, match=r"algo.pbt.member=1: .*run.txt says .*run1; give every"):
        other.claim(tmp_path / "another")


def test_folder_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    shared = SharedFolder(tmp_path / "file" / "population", 0, 3)
    with pytest.raises(ConfigError, match=r"algo.pbt.folder=.*: cannot be written .* choose"):
        shared.claim(tmp_path)


def test_clear_removes_own_records_only(tmp_path: Path):
    for member in (0, 1):
        folder(tmp_path, member).write(record(member, 1), {})
    (tmp_path / "population/00/00000002.pt.tmp").touch()
    folder(tmp_path, 0).clear()
    assert set(folder(tmp_path, 0).newest(9)) == {1}
    assert os.listdir(tmp_path / "population/00") == ["best", "run.txt"]


def test_newest_copies_of_the_best_are_kept(tmp_path: Path):
    shared = folder(tmp_path)
    for iteration in range(1, 10):
        shared.write(record(0, iteration), {"number": iteration})
        shared.keep_best(record(0, iteration), iteration)
    names = sorted(os.listdir(tmp_path / "population/00/best"))
    assert names == [f"{i:08d}_member00.pt" for i in range(4, 10)]


def test_tidy_removes_what_every_member_has_passed(tmp_path: Path):
    shared = folder(tmp_path, 0, num_members=2)
    for iteration in (1, 2, 3, 30):
        shared.write(record(0, iteration), {})
    (tmp_path / "population/00/00000030.pt.tmp").touch()
    folder(tmp_path, 1, num_members=2).write(record(1, 24), {})
    shared.tidy()  # The slowest is at 24: 3 is older than 24 - 20, but the newest that it can use.
    assert sorted(os.listdir(tmp_path / "population/00")) == [
        "00000003.json", "00000003.pt", "00000030.json", "00000030.pt", "best", "run.txt",
    ]  # fmt: skip


def test_old_records_go_once_the_slowest_member_has_passed_them():
    assert superfluous([1, 5, 9, 10, 20, 30], slowest=30) == [1, 5, 9]
    assert superfluous([1, 5, 9], slowest=10) == []
    assert superfluous([], slowest=0) == []


def test_crowded_records_are_thinned_but_never_the_newest_ten():
    iterations = [*range(0, 100, 10), *range(100, 117)]  # 27 records, two too many
    gone = superfluous(iterations, slowest=0)
    # The narrowest before the last ten, 107 to 116, are 101 to 106.
    assert len(gone) == 2 and all(100 < iteration < 107 for iteration in gone)
    many = [i for i in range(60) if i not in superfluous(list(range(60)), slowest=0)]
    assert len(many) == 25 and many[0] == 0 and many[-10:] == list(range(50, 60))
