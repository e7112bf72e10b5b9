"""One process per folder, also where the file system has no locks."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from epo.config import ConfigError
from epo.runner import folder_lock
from epo.runner.folder_lock import SILENCE_S, FolderLock


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that refuses `flock`, as some network file systems do."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    stand_in = SimpleNamespace(flock=refuse, LOCK_EX=2, LOCK_NB=4)
    monkeypatch.setattr(folder_lock, "fcntl", stand_in)


def change(note: Path, **fields: object) -> None:
    note.write_text(json.dumps({**json.loads(note.read_text()), **fields}))


def test_second_process_is_refused_by_the_lock(tmp_path: Path):
    first = FolderLock(tmp_path)
    first.acquire()
    for second in (FolderLock(tmp_path).check, FolderLock(tmp_path).acquire):
        with pytest.raises(ConfigError, match="another process trains in this folder"):
            second()
    first.release()
    FolderLock(tmp_path).acquire()


def test_looking_creates_nothing(tmp_path: Path):
    FolderLock(tmp_path).check()
    assert list(tmp_path.iterdir()) == []


def test_without_locks_a_living_process_is_found(tmp_path: Path, without_locks, capsys):
    first = FolderLock(tmp_path)
    first.acquire()
    assert "has no locks" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=rf"process {os.getpid()} on .* trains in this folder"):
        FolderLock(tmp_path).acquire()
    first.release()
    FolderLock(tmp_path).acquire()


def test_without_locks_a_dead_process_is_no_obstacle(tmp_path: Path, without_locks):
    first = FolderLock(tmp_path)
    first.acquire()
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    change(first.note, pid=gone.pid)
    FolderLock(tmp_path).acquire()
    assert json.loads(first.note.read_text())["pid"] == os.getpid()


def test_without_locks_another_process_with_the_same_number_is_no_obstacle(
    tmp_path: Path, without_locks
):
    first = FolderLock(tmp_path)
    first.acquire()
    change(first.note, start="1")
    FolderLock(tmp_path).check()


def test_without_locks_another_machine_is_dead_when_it_was_silent(tmp_path: Path, without_locks):
    first = FolderLock(tmp_path)
    first.acquire()
    change(first.note, machine="elsewhere", host="elsewhere")
    with pytest.raises(ConfigError, match=r"on elsewhere trained in this folder \d+ s ago"):
        FolderLock(tmp_path).acquire()
    before = first.note.stat().st_mtime - SILENCE_S - 1
    os.utime(first.note, (before, before))
    FolderLock(tmp_path).acquire()


@pytest.mark.parametrize("content", ["", "null", "[1]", "{", '{"pid": "x", "machine": 3}'])
def test_damaged_note_is_no_obstacle_for_long(content: str, tmp_path: Path, without_locks):
    lock = FolderLock(tmp_path)
    lock.note.write_text(content)
    lock.path.touch()
    before = lock.note.stat().st_mtime - SILENCE_S - 1
    os.utime(lock.note, (before, before))
    lock.acquire()
