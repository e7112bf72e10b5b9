"""Files that are replaced as a whole: a reader sees the old one or the new one."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Callable, Iterator, Optional


@contextmanager
def atomic_write(path: Path, before: Optional[Callable[[], None]] = None) -> Iterator[BinaryIO]:
    """Open a temporary file that takes the place of `path` when the block ends.

    The content is on the disk (fsync) before the rename. If the block or the disk fails,
    `path` keeps its old content and the temporary file is removed. The temporary name is
    fixed, so what a killed process leaves behind is overwritten by the next write.

    Args:
        path: the file.
        before: called when the new content is on the disk, just before the rename.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if before is not None:
            before()
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)


def set_aside(path: Path, why: str = "damaged") -> Path:
    """Rename a file or folder to `<name>.<why>-<n>`, the first n that is free; give its new path.

    Raises:
        OSError: if it cannot be renamed.
    """
    number = 1
    while path.with_name(f"{path.name}.{why}-{number}").exists():
        number += 1
    aside = path.with_name(f"{path.name}.{why}-{number}")
    os.rename(path, aside)
    return aside


def write_text(path: Path, text: str) -> None:
    """Replace the content of `path` by `text`, atomically."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))


def _sync_folder(folder: Path) -> None:
    """Put the rename itself on the disk."""
    if os.name != "posix":  # folders cannot be opened elsewhere
        return
    descriptor = os.open(str(folder), os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
