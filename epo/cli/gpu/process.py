"""One job: a process that is ended when its time is over, and the JSON that it printed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Dict, Iterator, List, Optional

from epo.cli.environment import CONFIG_DIR
from epo.cli.gpu.ledger import DONE, FAILED, LATE
from epo.cli.gpu.plan import MINUTES, PYTHON, Job

GRACE_S = 30.0
"""Between the request to end and the end, s."""
TAIL = 12
"""Lines of output that are kept of a job that failed."""
CUT_S = 120.0
"""What was compiled in the last moments of a job that was ended may be cut off, s."""


def run(job: Job, limit_s: float, compiled: Path) -> Dict[str, Any]:
    """Run a job and return its entry: how it ended, after what time, and the rows it printed.

    Args:
        job: what to run; its output is also shown.
        limit_s: it is ended after this time, s.
        compiled: folder of torch's compiled programs, which the next call finds again.
    """
    minutes = f"{max(limit_s - 2 * GRACE_S, 5.0) / 60.0:.2f}"
    words = [w.replace(MINUTES, minutes).replace(PYTHON, sys.executable) for w in job.arguments]
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        code = _wait(words, limit_s, output, compiled)
        output.seek(0)
        text = _portable(output.read().decode("utf-8", errors="replace"))
    if code is None:
        _drop_cut_off(compiled)
    lines = [line for line in text.splitlines() if line.strip()]
    rows = _rows(lines)
    entry = {
        "state": DONE if code == 0 else LATE if code is None else FAILED,
        "seconds": round(time.perf_counter() - begin, 1),
        "command": _portable(" ".join(["python", *words])),
        "rows": rows,
    }
    if code != 0:
        entry.update(code=code, output=lines[-TAIL:])
    return entry


def _portable(text: str) -> str:
    """Return a text without the folders of this machine: results are published."""
    root, home = str(Path(CONFIG_DIR).parent), str(Path.home())
    return text.replace(f"{root}{os.sep}", "").replace(root, ".").replace(home, "~")


def _drop_cut_off(compiled: Path) -> None:
    """Remove programs that were being written when their job was ended: torch would load them."""
    newest = time.time() - CUT_S
    for path in compiled.rglob("*.so"):
        with suppress(OSError):
            if path.stat().st_mtime >= newest:
                path.unlink()


def _wait(words: List[str], limit_s: float, output: Any, compiled: Path) -> Any:
    """Run Python and give its exit code; None if it had to be ended."""
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=str(Path(CONFIG_DIR).parent),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # what it starts ends with it
        env={
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "TORCHINDUCTOR_CACHE_DIR": str(compiled),
        },
    )
    try:
        with _leaving_at_signals():
            return process.wait(timeout=limit_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        _end(process)


@contextmanager
def _leaving_at_signals() -> Iterator[None]:
    """Leave the body at SIGTERM and SIGHUP as at Ctrl-C, so that the job does not outlive it."""

    def leave(number: int, frame: Optional[FrameType]) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and everything that it started."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=GRACE_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _rows(lines: List[str]) -> List[Dict[str, Any]]:
    """Return every line that is a JSON object; one that spans all lines counts, too."""
    rows = []
    for line in lines:
        if line.startswith("{"):
            with suppress(ValueError):
                rows.append(json.loads(line))
    if not rows and lines and lines[0] == "{":
        with suppress(ValueError):
            rows.append(json.loads("\n".join(lines)))
    return rows
