"""The terminal, or whatever stdout and stderr are: no output can end a run.

`guard_streams` is called first in every command. From then on a closed pipe, a terminal that went
away, a full disk under a log file or a character that the terminal does not know cost the text
and nothing else, whoever prints: we, a library or someone's environment.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from typing import Optional, TextIO, Tuple

PLAIN = "epo.plain"
"""Name of the codec error handler that writes characters an encoding lacks in ASCII."""
_IN_ASCII = str.maketrans(
    {
        **dict(zip("·×–—…→≤≥±σβ", ("-", "x", "-", "-", "...", "->", "<=", ">=", "+-", "s", "b"))),
        **dict(zip("▁▂▃▄▅▆▇█", "_.,-=+*#")),
        **dict(zip("╭╮╰╯│─━╸╺", "++++|----")),
    }
)
_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EAGAIN, errno.EINTR)
"""Errors that may be over at the next line; after any other the stream is gone for good."""

_is_muted = False


class Output(io.TextIOWrapper):
    """A text stream that takes everything; what it cannot write is lost, and that is said once.

    Args:
        descriptor: 1 or 2.
        like: the stream that it replaces; None: there was none.
        is_silent: never mention a lost stream.
    """

    def __init__(self, descriptor: int, like: Optional[TextIO], is_silent: bool) -> None:
        super().__init__(
            open(descriptor, "wb", closefd=False),  # noqa: SIM115 - lives as long as the process
            encoding=getattr(like, "encoding", None) or "utf-8",
            errors=PLAIN,
            line_buffering=descriptor == 2 or bool(getattr(like, "line_buffering", False)),
            write_through=bool(getattr(like, "write_through", False)),
        )
        self._descriptor = descriptor
        self._is_silent = is_silent

    def write(self, text: str, /) -> int:
        """Write `text`, or lose it."""
        try:
            return super().write(text)
        except (OSError, ValueError) as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        """Write what is held back, or lose it."""
        try:
            super().flush()
        except (OSError, ValueError) as error:
            self._lose(error)

    def _lose(self, error: Exception) -> None:
        """Let a stream that is gone lead nowhere, and say so on the other one."""
        if getattr(error, "errno", None) in _PASSING or self.closed:
            return
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, self._descriptor)
        os.close(sink)
        if not self._is_silent and self._descriptor == 1:
            reason = getattr(error, "strerror", None) or error
            say(f"warning: stdout is gone ({reason}); going on without it", is_error=True)


def guard_streams(is_silent: bool = False) -> None:
    """Replace stdout and stderr by streams that never raise.

    Descriptors that were closed by whoever started the process lead nowhere from now on:
    otherwise the next file that is opened would take their number and get the text.

    Args:
        is_silent: never mention a lost stream, for commands that are often read by `head`.
    """
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor > 2:
            os.close(descriptor)
            break
        os.set_inheritable(descriptor, True)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        old = getattr(sys, name)
        if isinstance(old, Output):
            continue
        if old is not None and not _is_of(old, descriptor):
            continue  # someone catches the text, such as a test
        setattr(sys, name, Output(descriptor, old, is_silent))


def mute() -> None:
    """Lose all text from now on, but for what goes to a stream by name: another process speaks."""
    global _is_muted
    _is_muted = True
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as the process


def say(*lines: str, is_error: bool = False, stream: Optional[TextIO] = None) -> None:
    """Print lines at once, to stdout, stderr or another stream; never raise.

    Args:
        lines: without line ends.
        is_error: print to stderr.
        stream: instead of both.
    """
    if _is_muted and stream is None:
        return
    target = stream or (sys.stderr if is_error else sys.stdout)
    text = "".join(f"{line}\n" for line in lines)
    try:
        _print(target, text)
    except UnicodeEncodeError:
        _say_in_ascii(target, text)
    except (OSError, ValueError, RuntimeError):
        return  # there is nobody to tell


def _print(target: Optional[TextIO], text: str) -> None:
    if target is not None:
        target.write(text)
        target.flush()


def _say_in_ascii(target: Optional[TextIO], text: str) -> None:
    plain = text.translate(_IN_ASCII).encode("ascii", "backslashreplace").decode("ascii")
    try:
        _print(target, plain)
    except (OSError, ValueError, RuntimeError):
        return


def _in_ascii(error: UnicodeError) -> Tuple[str, int]:
    """Write the characters that an encoding lacks in ASCII: `·` as `-`, others as escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_IN_ASCII)
    return text.encode("ascii", "backslashreplace").decode("ascii"), error.end


def _is_of(stream: TextIO, descriptor: int) -> bool:
    """Return whether the stream writes to the descriptor itself."""
    try:
        return stream.fileno() == descriptor
    except (OSError, ValueError, AttributeError):
        return False


codecs.register_error(PLAIN, _in_ascii)
