"""Times of whole runs, and of what their iterations consist of."""

from __future__ import annotations

import statistics
import sys
import time
from contextlib import ExitStack
from typing import List, Sequence, Tuple

from epo.cli import environment
from epo.cli.bench.learn_timing import Bench, training
from epo.cli.bench.memory import peak_memory_mb
from epo.cli.bench.report import Row, rate_fields
from epo.cli.bench.timing import elapsed_s, rate
from epo.config import Config
from epo.memory import keep_freed_memory

PARTS = ("sim", "act", "learn")
"""Parts of an iteration that the trainers time themselves; the rest is what is left."""


def measure(configurations: Sequence[Config], warm_up: int, repetitions: int) -> List[Row]:
    """Time iterations of whole runs, one of each in turn.

    Args:
        configurations: each validated and resolved.
        warm_up: iterations before the timed ones.
        repetitions: iterations that are timed.

    Returns:
        A row for each.

    Raises:
        ConfigError: if a task or a trainer refuses its configuration.
    """
    keep_freed_memory()
    benches: List[Tuple[Bench, float]] = []
    times: List[List[Row]] = [[] for _ in configurations]
    with ExitStack() as stack:
        for cfg in configurations:
            begin = time.perf_counter()
            env = environment.make_env(cfg)
            stack.callback(env.close)
            bench = stack.enter_context(training(cfg, env))
            benches.append((bench, time.perf_counter() - begin))
        for number in range(-warm_up, repetitions):
            for (bench, _), own in zip(benches, times):
                seconds = elapsed_s(bench.loop.env.device, bench.loop.iterate)
                found = {f"{part}_s": bench.loop.last_metrics[f"{part}_s"] for part in PARTS}
                if number >= 0:
                    own.append({"iteration_s": seconds, **found})
                _say(number, seconds, bench.loop.frames_per_iteration)
        return [
            {
                **described(bench),
                **summary(bench, own),
                "set_up_s": set_up_s,
                "peak_mem_mb": peak_memory_mb(bench.loop.env.device),
                "simulators": dict(bench.loop.env.spec.versions),
            }
            for (bench, set_up_s), own in zip(benches, times)
        ]


def described(bench: Bench) -> Row:
    """Return what is measured."""
    cfg, spec = bench.loop.cfg, bench.loop.env.spec
    return {
        "device": cfg.device,
        "task": spec.name,
        "engine": spec.engine,
        "algo": cfg.algo.name,
        "agents": cfg.num_agents,
        "num_envs": spec.num_envs,
        "net": cfg.algo.network.kind,
    }


def summary(bench: Bench, times: Sequence[Row]) -> Row:
    """Return frames per second and the parts of an iteration, its share of a checkpoint too."""
    loop, folder = bench.loop, bench.folder
    saved_s = elapsed_s(loop.env.device, lambda: folder.save_last(loop.state_dict(), 1))
    each_s = saved_s / loop.cfg.record.checkpoint_interval
    whole = [row["iteration_s"] + each_s for row in times]
    parts = {part: statistics.median(row[f"{part}_s"] for row in times) for part in PARTS}
    rest = statistics.median(
        all_s - sum(row[f"{part}_s"] for part in PARTS) for all_s, row in zip(whole, times)
    )
    total = statistics.median(whole)
    return {
        **rate_fields("frames_per_s", rate(loop.frames_per_iteration, whole)),
        "iteration_s": total,
        **{f"{part}_s": value for part, value in parts.items()},
        "rest_s": rest,
        **{f"{part}_share": value / total for part, value in parts.items()},
        "rest_share": rest / total,
        "checkpoint_s": saved_s,
        "repetitions": len(times),
    }


def _say(number: int, seconds: float, frames: int) -> None:
    what = f"iteration {number + 1}" if number >= 0 else "warm-up"
    print(f"{what}: {frames / seconds:,.0f} frames/s", file=sys.stderr, flush=True)
