from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from epo.record import files
from epo.record.files import atomic_write, write_text
from tests.stand_in import replace_in


def test_atomic_write_keeps_the_old_file_if_the_block_fails(tmp_path: Path):
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as file:
        file.write(b"half of the new")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_write_keeps_the_old_file_if_the_disk_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "file"
    write_text(path, "old")

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    replace_in(files, "os.fsync", fail, monkeypatch)
    with pytest.raises(OSError, match="No space left"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_content_is_synced_before_the_rename_and_the_folder_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    events = []

    def fsync(descriptor: int) -> None:
        events.append("fsync")
        os.fsync(descriptor)

    def replace(source: Path, target: Path) -> None:
        events.append("replace")
        os.replace(source, target)

    replace_in(files, "os.fsync", fsync, monkeypatch)
    replace_in(files, "os.replace", replace, monkeypatch)
    write_text(tmp_path / "file", "text")
    assert events == ["fsync", "replace", "fsync"]
