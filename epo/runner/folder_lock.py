"""One process per run folder: a file lock, or a note with a heartbeat where locks do not work."""

from __future__ import annotations

import json
import os
import platform
import secrets
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Dict, Optional

from epo.config import ConfigError
from epo.terminal import say

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

BEAT_S = 20.0
"""Seconds between two signs of life of a process whose file system has no locks."""
SILENCE_S = 4 * BEAT_S
"""A process on another machine that was silent for so long counts as dead."""


class FolderLock:
    """Hold a run folder until this process ends, however it ends.

    The system's lock (`flock`) is given back with the process. Some network file systems have
    none: there the process leaves a note of who it is and shows signs of life. On the same
    machine the process itself is looked for; on another one the age of the last sign counts, by
    the clock of the file system.

    Args:
        folder: to hold; it must exist before `acquire`.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / ".lock"
        self.note = folder / ".owner.json"
        self._file: Optional[IO[bytes]] = None
        self._token = secrets.token_hex(8)
        self._is_over = threading.Event()

    def check(self) -> None:
        """Refuse a folder that another process holds; nothing is created or changed.

        Raises:
            ConfigError: if one does.
        """
        if self.path.is_file() and not self._lock():
            self._check_note()

    def acquire(self) -> None:
        """Hold the folder.

        Raises:
            ConfigError: if another process does.
            OSError: if the folder cannot be written.
        """
        if self.path.is_dir():
            raise IsADirectoryError(21, "its .lock is a folder", str(self.path))
        self.path.touch()
        if self._lock():
            return
        self._check_note()
        self._leave_note()
        say(
            f"warning: the file system of {self.path.parent} has no locks: {self.note.name} tells "
            "other processes that this one trains here",
            is_error=True,
        )
        threading.Thread(target=self._beat, daemon=True).start()

    def release(self) -> None:
        """Return the folder back, as the end of the process does."""
        self._is_over.set()
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._is_own_note():
            with suppress(OSError):
                self.note.unlink()

    def _lock(self) -> bool:
        """Take the system's lock; False where there is none.

        Raises:
            ConfigError: if another process has it.
        """
        if self._file is not None:
            return True
        if fcntl is None:
            return False
        file = open(self.path, "r+b")  # noqa: SIM115 - held for the life of the process
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise self._refusal("another process trains in this folder; wait for it") from error
        except OSError:  # ENOLCK, ENOTSUP, ENOSYS: no reason not to train
            file.close()
            return False
        self._file = file
        return True

    def _check_note(self) -> None:
        """Refuse where the note is of a process that lives."""
        note = self._read_note()
        if not note or note.get("token") == self._token:
            return
        who = f"process {note.get('pid')} on {note.get('host')}"
        if note.get("machine") == _machine():
            if _start_of(note.get("pid")) == note.get("start"):
                raise self._refusal(f"{who} trains in this folder; wait for it")
            return
        silence_s = self._silence_s()
        if silence_s < SILENCE_S:
            raise self._refusal(
                f"{who} trained in this folder {max(0.0, silence_s):.0f} s ago, and the file "
                f"system has no locks; if it is dead, try again in {SILENCE_S:.0f} s"
            )

    def _leave_note(self) -> None:
        """Return who holds the folder now.

        Raises:
            ConfigError: if another process is quicker.
        """
        with suppress(FileNotFoundError):
            self.note.unlink()  # of a dead process
        content = {
            "token": self._token,
            "pid": os.getpid(),
            "start": _start_of(os.getpid()),
            "host": platform.node(),
            "machine": _machine(),
        }
        try:
            with open(self.note, "x", encoding="utf-8") as file:
                json.dump(content, file)
        except FileExistsError as error:
            raise self._refusal("another process has just started in this folder") from error

    def _beat(self) -> None:
        """Show signs of life until the process ends, and say so once if the note is replaced."""
        while not self._is_over.wait(BEAT_S):
            if not self._is_own_note():
                say(
                    f"warning: another process trains in {self.path.parent} as well: "
                    f"{self.note.name} is no longer ours",
                    is_error=True,
                )
                return
            with suppress(OSError):
                os.utime(self.note)

    def _is_own_note(self) -> bool:
        return self._read_note().get("token") == self._token

    def _read_note(self) -> Dict[str, Any]:
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}

    def _silence_s(self) -> float:
        """Return the age of the last sign of life, by the clock of the file system where it can."""
        last = self.note.stat().st_mtime
        probe = self.note.with_name(f".{self._token}")
        try:
            probe.touch()
            now = probe.stat().st_mtime
            probe.unlink()
        except OSError:
            now = time.time()
        return now - last

    def _refusal(self, reason: str) -> ConfigError:
        return ConfigError("run_dir", self.path.parent, f"{reason}, or choose another run_dir")


def _machine() -> str:
    """Name this boot of this machine and its table of processes: where a pid means something."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _start_of(pid: Any) -> Optional[str]:
    """Return when a process began, in the system's own ticks; None if there is no such process."""
    if type(pid) is not int:
        return None
    try:
        # The name, in parentheses, may hold anything; the start is field 22.
        return (
            Path(f"/proc/{pid}/stat").read_text(encoding="latin-1").rpartition(")")[2].split()[19]
        )
    except (OSError, IndexError):
        if Path("/proc/self/stat").exists():
            return None
    try:
        os.kill(pid, 0)
    except PermissionError:  # someone else's
        return "alive"
    except OSError:
        return None
    return "alive"
