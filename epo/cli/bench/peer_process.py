"""The peers of `bench peers`: a process each, which runs an iteration whenever it is told to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, Callable, ContextManager, Dict, Iterator, List, NamedTuple, Optional

from epo import OPENMP
from epo.cli.bench import peer_job
from epo.cli.bench.peer_job import Comparison, Plan, Work
from epo.cli.bench.report import Row
from epo.config import ConfigError

OUR_WORKER = ("-m", "epo.cli.bench.epo_worker")
WORKER = Path(__file__).with_name("rl_games_worker.py")
REFERENCES = ("rl_games", "rl_games_our_openmp", "rl_games_compiled")
"""Peers of which the fastest is what ratios are measured against."""


class Setup(NamedTuple):
    """What all processes share: how to measure, and the Python that has rl_games."""

    plan: Plan
    peer_python: Path


class Peer:
    """A process that waits for its turn.

    Args:
        name: of the peer, for messages.
        process: the worker, just started.
        said: gets what it writes to stderr.
        job: what it reads first.
        work: what its iterations have to consist of; None: whatever they do.

    Raises:
        ConfigError: if it fails, or does other work.
    """

    def __init__(
        self,
        name: str,
        process: subprocess.Popen[bytes],
        said: IO[str],
        job: Dict[str, Any],
        work: Optional[Work],
    ) -> None:
        self.name = name
        self._process, self._said, self._work = process, said, work
        self._ready = self._ask(json.dumps(job))
        self._samples = self._ready["work"]["samples"]
        self._check(self._ready["work"])

    def turn(self) -> Row:
        """Let it run an iteration and give what was measured.

        Raises:
            ConfigError: if it fails, or does other work.
        """
        found = self._ask("")
        self._check({"gradient_steps": found["gradient_steps"]})
        return {
            "samples_per_s": self._samples / found["iteration_s"],
            **{name: found[name] for name in ("rollout_s", "update_s", "peak_mem_mb")},
            **{name: self._ready[name] for name in ("precision", "versions")},
        }

    def _check(self, found: Work) -> None:
        if self._work is not None:
            peer_job.check_work(self.name, found, self._work)

    def _ask(self, line: str) -> Row:
        """Write a line and give the answer, the next line of JSON."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError):  # It ended: no answer follows.
            self._process.stdin.write(f"{line}\n".encode())
        for answer in self._process.stdout:
            if answer.startswith(b"{"):
                return json.loads(answer)
        code = self._process.wait()
        self._said.seek(0)
        said = self._said.read()
        print(said, file=sys.stderr, flush=True)
        reason = said.strip().rpartition("\n")[2]
        raise ConfigError("peer", self.name, f"ended with {code}: {reason}")


@contextmanager
def started(
    name: str,
    command: List[str],
    environment: Dict[str, str],
    job: Dict[str, Any],
    work: Optional[Work],
) -> Iterator[Peer]:
    """Start a worker, see `Peer`; the end of its stdin ends it after the body."""
    with ExitStack() as stack:
        said = stack.enter_context(tempfile.TemporaryFile("w+"))
        process = subprocess.Popen(
            command,
            bufsize=0,  # Nothing is left to write when a worker is gone.
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
        )
        yield Peer(name, stack.enter_context(process), said, job, work)


Start = Callable[[str, Comparison, Setup], ContextManager[Peer]]
"""Starts the process of a peer."""


def ours(
    name: str, comparison: Comparison, setup: Setup, same: bool = True, precision: str = "fp32"
) -> ContextManager[Peer]:
    """Start our PPO.

    Args:
        name: of the peer.
        comparison: what to run.
        setup: how.
        same: with the settings of rl_games; else our own defaults, diagnostics included.
        precision: `fp32` or `bf16`.

    Raises:
        ConfigError: if it fails.
    """
    settings = [*(peer_job.SAME if same else ["algo=ppo"]), *comparison.settings]
    return started(
        name,
        [sys.executable, *OUR_WORKER],
        environ(setup.plan.threads),
        peer_job.our_job([*settings, f"precision={precision}"], setup.plan),
        comparison.work if same else None,
    )


def rl_games(
    name: str,
    comparison: Comparison,
    setup: Setup,
    has_our_openmp: bool = False,
    is_compiled: bool = False,
) -> ContextManager[Peer]:
    """Start rl_games' PPO.

    Args:
        name: of the peer.
        comparison: what to run.
        setup: how.
        has_our_openmp: its threads wait as ours do, see `epo.OPENMP`; else as rl_games' own.
        is_compiled: wrap its network in `torch.compile`, as its own command does.

    Raises:
        ConfigError: if it fails, or its work is not ours.
    """
    environment = environ(setup.plan.threads)
    if not has_our_openmp:
        for variable in OPENMP:
            environment.pop(variable, None)
    return started(
        name,
        # Isolated from our packages: neither PYTHONPATH nor the script's folder are searched.
        [str(setup.peer_python), "-I", str(WORKER)],
        environment,
        peer_job.rl_games_job(comparison, setup.plan, is_compiled),
        comparison.work,
    )


PEERS: Dict[str, Start] = {
    "epo": ours,
    "rl_games": rl_games,
    "rl_games_our_openmp": partial(rl_games, has_our_openmp=True),
    "epo_bf16": partial(ours, precision="bf16"),
    "epo_default": partial(ours, same=False),
    "rl_games_compiled": partial(rl_games, is_compiled=True),
}
"""The peers by name; what they are: `USAGE` of `peers`."""


def environ(threads: int) -> Dict[str, str]:
    """Return the environment of a process: this one's, `epo.OPENMP` included, and its threads."""
    return {**os.environ, "OMP_NUM_THREADS": str(threads)}
