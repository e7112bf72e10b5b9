"""Output that cannot be written: processes of their own, without torch, a few hundredths each."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Optional

import pytest

from epo.terminal import say
from tests.composed import REPOSITORY

TALK = r"""
from epo.terminal import guard_streams
guard_streams({silent})
import sys
for i in range(3000):
    print("line", i, "\u00b7 3 \u00d7 4 \u2581\u2588 \u4e16 \udcff")
print("the end", file=sys.stderr)
"""


def talk(silent: bool = False, environment: Optional[Dict[str, str]] = None, **streams: Any) -> Any:
    return subprocess.Popen(
        [sys.executable, "-c", TALK.format(silent=silent)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **(environment or {})},
        **streams,
    )


@pytest.mark.parametrize("silent", [False, True])
def test_closed_pipe_costs_the_text_and_nothing_else(silent: bool):
    process = talk(silent, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read().decode().splitlines()
    process.stderr.close()
    assert process.wait() == 0
    gone = ["warning: stdout is gone (Broken pipe); going on without it"]
    assert errors == ([] if silent else gone) + ["the end"]


def test_full_disk_under_the_log_is_not_the_end():
    with open("/dev/full", "w") as full:
        assert talk(stdout=full, stderr=full).wait() == 0


def test_terminal_that_goes_away_is_not_the_end():
    terminal, process_side = os.openpty()
    process = talk(stdout=process_side, stderr=process_side)
    os.close(process_side)
    os.read(terminal, 10)
    os.close(terminal)  # EIO from now on
    assert process.wait() == 0


def test_closed_descriptors_are_not_given_to_files(tmp_path: Path):
    script = (
        "from epo.terminal import guard_streams\n"
        "guard_streams()\n"
        "file = open('record', 'w')\n"
        "assert file.fileno() > 2\n"
        "print('text', flush=True)\n"
        "import sys; assert not sys.stdout.isatty()\n"
    )
    command = f'exec "{sys.executable}" -c "{script}" >&- 2>&-'
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    assert subprocess.call(["sh", "-c", command], env=environment, cwd=str(tmp_path)) == 0
    assert (tmp_path / "record").read_text() == ""


def test_characters_that_the_terminal_lacks_are_written_in_ascii():
    process = talk(
        environment={"PYTHONIOENCODING": "ascii"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, errors = process.communicate()
    assert process.returncode == 0
    assert out.decode("ascii").splitlines()[0] == "line 0 - 3 x 4 _# \\u4e16 \\udcff"
    assert errors == b"the end\n"


class Broken(io.StringIO):
    def write(self, text: str, /) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("stream", [Broken(), "closed", "ascii"])
def test_say_never_raises(stream: Any):
    if stream == "closed":
        stream = io.StringIO()
        stream.close()
    elif stream == "ascii":
        stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    say("a · b", stream=stream)
    if isinstance(stream, io.TextIOWrapper):
        assert stream.buffer.getvalue() == b"a - b\n"  # type: ignore[attr-defined]
