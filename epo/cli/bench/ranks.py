"""`python -m epo bench ranks`: the learner on several ranks beside one process, on the same work.

Both are there all the time, and take an iteration in turn: what the machine does beside it strikes
both alike. The ranks share the threads that the one process has.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import IO, Any, Dict, List, Optional, Sequence, Tuple

from epo.cli.arguments import check_least, split
from epo.cli.bench.learn import Case, cases, probabilities
from epo.cli.bench.report import (
    Column,
    Row,
    number_column,
    print_table,
    rate_column,
    rate_fields,
)
from epo.cli.bench.result import print_result
from epo.cli.bench.timing import Rate
from epo.config import ConfigError
from epo.cores import granted_cores
from epo.program import as_typed

USAGE = """usage: python -m epo bench ranks [ranks=2] [repetitions=15] [warm_up=2] [dones=0.002]
                                 [name=value...]

  ranks         processes that train together; on a CPU with a core each, beside one process
                with as many threads; on CUDA with a device each, beside one device
  repetitions   iterations that are timed; reported are medians
  warm_up       iterations before them
  dones         probability that an episode ends at a step
  name=value    any setting of `python train.py`; by default those of `bench learn`

The efficiency is the samples per second of the ranks over those of the one process, of each turn;
on CUDA, where the ranks have more devices, over the number of ranks as well.
"""
WORKER = ("-m", "epo.cli.bench.epo_worker")


@dataclass
class RanksOptions:
    """What to measure, and how often."""

    ranks: int = 2
    """Processes that train together."""
    repetitions: int = 15
    """Iterations that are timed."""
    warm_up: int = 2
    """Iterations before them."""
    dones: str = "0.002"
    """Probability that an episode ends at a step."""


class Team:
    """Workers that run an iteration together whenever they are told to.

    Args:
        name: for messages.
        job: what each of them reads first.
        worlds: variables of each worker beside those of this process.
        stack: ends them.

    Raises:
        ConfigError: if one fails.
    """

    def __init__(
        self, name: str, job: Dict[str, Any], worlds: Sequence[Dict[str, str]], stack: ExitStack
    ) -> None:
        self.name = name
        self._workers: List[subprocess.Popen[str]] = []
        for variables in worlds:
            worker = subprocess.Popen(
                [sys.executable, *WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, **variables},
            )
            stack.callback(_end, worker)
            self._workers.append(worker)
        self.samples = self._ask(json.dumps(job))[0]["work"]["samples"]

    def turn(self) -> Row:
        """Let them run an iteration; return the times of the slowest, s."""
        answers = self._ask("")
        names = ("iteration_s", "rollout_s", "update_s", "wait_s", "exchange_s")
        return {name: max(answer.get(name, 0.0) for answer in answers) for name in names}

    def _ask(self, line: str) -> List[Row]:
        for worker in self._workers:
            with suppress(BrokenPipeError):  # its answer is missing as well
                print(line, file=_pipe(worker.stdin), flush=True)
        answers = [_pipe(worker.stdout).readline() for worker in self._workers]
        if not all(answers):
            raise ConfigError("ranks", self.name, "a worker failed, see its words above")
        return [json.loads(answer) for answer in answers]


def main(arguments: Sequence[str]) -> None:
    """Time both in turns, print a table and lines of JSON.

    Raises:
        ConfigError: at a wrong setting, or if a worker fails.
    """
    if {"-h", "--help"} & set(arguments):
        print(as_typed(USAGE), end="")
        return
    options, settings = split(arguments, RanksOptions())
    check_least(options, ranks=2, repetitions=1, warm_up=0)
    compared = cases(settings, probabilities(options.dones))
    if len(compared) != 1:
        raise ConfigError("ranks", options.ranks, "compares one setting at a time; give one value")
    case = compared[0]
    is_cpu = case.cfg.device == "cpu"
    if is_cpu and options.ranks > granted_cores():
        raise ConfigError("ranks", options.ranks, f"there are {granted_cores()} cores; use fewer")
    job = {"settings": settings, "done_probability": case.done_probability}
    rows = measure(options, job, is_cpu)
    report(rows, options, case)


def measure(options: RanksOptions, job: Dict[str, Any], is_cpu: bool) -> List[Row]:
    """Return a row for the one process and one for the ranks."""
    size = options.ranks
    times: Tuple[List[Row], List[Row]] = ([], [])
    with ExitStack() as stack:
        alone = Team("one process", {**job, "threads": size if is_cpu else 1}, [{}], stack)
        ranks = Team("the ranks", {**job, "threads": 1}, worlds(size), stack)
        for number in range(options.warm_up + options.repetitions):
            for team, own in zip((alone, ranks), times):
                found = team.turn()
                if number >= options.warm_up:
                    own.append(found)
    rows = []
    for label, team, own in zip((1, size), (alone, ranks), times):
        row: Row = {"ranks": label, "samples": team.samples}
        row.update({name: statistics.median(t[name] for t in own) for name in own[0]})
        speeds = [team.samples / found["iteration_s"] for found in own]
        row.update(rate_fields("samples_per_s", _rate(speeds)))
        devices = 1 if is_cpu else label
        shares = [a["iteration_s"] / b["iteration_s"] / devices for a, b in zip(times[0], own)]
        row.update(rate_fields("efficiency", _rate(shares)))
        rows.append(row)
    return rows


def worlds(size: int) -> List[Dict[str, str]]:
    """Return what a launcher would set for ranks on this machine."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = str(probe.getsockname()[1])
    everywhere = {"MASTER_ADDR": "localhost", "MASTER_PORT": port}
    counts = {"WORLD_SIZE": str(size), "LOCAL_WORLD_SIZE": str(size)}
    return [
        {**everywhere, **counts, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(size)
    ]


def _rate(values: Sequence[float]) -> Rate:
    return Rate(statistics.median(values), min(values), max(values))


def _pipe(stream: Optional[IO[str]]) -> IO[str]:
    assert stream is not None
    return stream


def _end(worker: subprocess.Popen[str]) -> None:
    worker.kill()
    worker.wait()


def report(rows: List[Row], options: RanksOptions, case: Case) -> None:
    """Print the table, then one line of JSON."""
    cfg = case.cfg
    columns = (
        number_column("ranks", "ranks"),
        rate_column("samples/s", "samples_per_s"),
        Column("efficiency", lambda row: f"{row['efficiency']:.1%}"),
        number_column("iteration s", "iteration_s", "{:.4g}"),
        number_column("rollout s", "rollout_s", "{:.4g}"),
        number_column("update s", "update_s", "{:.4g}"),
        number_column("wait s", "wait_s", "{:.3g}"),
        number_column("exchange s", "exchange_s", "{:.3g}"),
    )
    print_table(f"{cfg.algo.name} · {cfg.algo.network.kind} · {cfg.num_envs} envs", columns, rows)
    settings, repetitions = case.variant.settings, options.repetitions
    print_result("ranks", cfg.device, settings, ("ranks",), rows, repetitions=repetitions)
