"""train.py many times from one process that has imported everything: a fork each, 0.5 s instead
of 5. Isaac Gym aside, what a fork does is what `python train.py` does; a sample goes through both.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import os
import resource
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from tests.composed import REPOSITORY
from tests.stress.command import TIMEOUT_S, Done

PRELOADED = (
    *("epo.cli.environment", "epo.runner.run", "epo.runner.trainer", "epo.runner.pql"),
    *("epo.runner.pbt.process", "tasks.registry", "torch.utils.tensorboard"),
    *("torch._dynamo", "mujoco", "gymnasium", "tasks.gymnasium.env"),
)
"""Modules that are imported once; one that is not installed is left to the run."""
MEMORY_BYTES = 4 * 2**30
"""Most private memory of a run: a setting that asks for more must end with a line."""
GRACE_S = 20.0
"""CPU time to end after SIGTERM, s."""


class Forks:
    """Run train.py in forks of a process of its own; one at a time, for one thread."""

    def __init__(self) -> None:
        self._process: Optional[subprocess.Popen] = None

    def train(self, arguments: Sequence[str], cwd: Path, limit_s: float) -> Done:
        """Run train.py to its end, or stop it with SIGTERM after `limit_s` of CPU time."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.stress.forks"],
                cwd=str(REPOSITORY),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        assert self._process.stdin and self._process.stdout
        request = {"arguments": list(arguments), "cwd": str(cwd), "limit_s": limit_s}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Done(**json.loads(self._process.stdout.readline()))


_LOCAL = threading.local()


def fork(arguments: Sequence[str], cwd: Path, limit_s: float = TIMEOUT_S) -> Done:
    """Run train.py in a fork of this thread's process; `limit_s`: CPU time after which it stops."""
    if not hasattr(_LOCAL, "forks"):
        _LOCAL.forks = Forks()
    return _LOCAL.forks.train(arguments, cwd, limit_s)


def serve() -> None:
    """Answer requests, one JSON object a line, until the input ends."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    for name in PRELOADED:
        if importlib.util.find_spec(name.partition(".")[0]):
            importlib.import_module(name)
    gc.freeze()  # No fork looks through what was imported.
    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            pid = os.fork()
            if pid == 0:
                _become(request, [out.fileno(), err.fileno()])
                runpy.run_path(sys.argv[0], run_name="__main__")
                return
            code = _wait(pid, float(request["limit_s"]))
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode("utf-8", "replace"))
        print(json.dumps({"code": code, "out": texts[0], "err": texts[1]}), flush=True)


def _become(request: Dict[str, Any], outlets: List[int]) -> None:
    """Turn this fork into a start of train.py."""
    os.setsid()
    os.chdir(request["cwd"])
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in zip([null, *outlets], range(3)):
        os.dup2(source, target)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    sys.argv = [str(REPOSITORY / "train.py"), *request["arguments"]]


def _wait(pid: int, limit_s: float) -> Optional[int]:
    """Return the exit code, negative for a signal, None if only SIGKILL ended it.

    SIGTERM comes after `limit_s` of CPU time: that of a loaded machine passes more slowly.
    """
    for cpu_s, number in ((limit_s, signal.SIGTERM), (limit_s + GRACE_S, signal.SIGKILL)):
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline and _cpu_s(pid) < cpu_s:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.005)
        os.kill(pid, number)
    os.waitpid(pid, 0)
    return None


def _cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used, s."""
    fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    serve()
