"""Times of iterations over environments that cost nothing."""

from __future__ import annotations

import copy
import math
import statistics
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Iterator, List, NamedTuple, Sequence, Tuple

import torch

from epo.cli import environment
from epo.cli.bench.memory import peak_memory_mb, release_memory
from epo.cli.bench.overhead import overhead_share
from epo.cli.bench.plain_products import matmul_shares
from epo.cli.bench.report import Row, rate_fields
from epo.cli.bench.synthetic import SyntheticEnv
from epo.cli.bench.timing import Rate, elapsed_s, rate
from epo.config import Config
from epo.config.batch import num_copies
from epo.envs import EnvSpec, VecEnv
from epo.memory import keep_freed_memory
from epo.ranks import ALONE, Ranks
from epo.record.progress import RunPlan
from epo.record.recorder import build_recorder
from epo.rollout.staggered import stagger
from epo.runner.loop import Loop
from epo.runner.provenance import device_name
from epo.runner.run import make_loop
from epo.runner.run_folder import RunFolder, as_plain
from epo.runner.seeds import derive_seed
from epo.runner.trainer import Trainer

SHARES = (
    "matmul_share",
    "rollout_matmul_share",
    "iteration_matmul_share",
    "update_gflop",
    "rollout_gflop",
    "overhead_share",
)
"""Entries of a row that take measurements of their own."""


class Plan(NamedTuple):
    """How to measure.

    Attributes:
        warm_up: iterations before the timed ones.
        repetitions: iterations that are timed.
        threads: of torch on the CPU.
        with_shares: also measure plain matrix products and the overhead.
    """

    warm_up: int
    repetitions: int
    threads: int
    with_shares: bool


class Times(NamedTuple):
    """Seconds of every timed iteration: of the whole, of collecting, of learning."""

    iteration: List[float]
    rollout: List[float]
    update: List[float]


class Bench(NamedTuple):
    """A configuration that is ready to be timed.

    Attributes:
        loop: of its trainer.
        folder: its run folder, which is thrown away.
        done_probability: that an episode ends at a step; NaN where the environments decide.
    """

    loop: Loop
    folder: RunFolder
    done_probability: float = math.nan


def measure(configurations: Sequence[Tuple[Config, float]], plan: Plan) -> List[Row]:
    """Time the trainers of resolved configurations, an iteration of each in turn.

    What the machine does beside it then strikes all of them alike.

    Args:
        configurations: each validated and resolved, with the probability that an episode ends at
            a step; of the tasks only the shapes are taken.
        plan: how to measure.

    Returns:
        A row for each: what was measured and where, rates, ratio to the first one, medians of
        times, memory of the process, shares.

    Raises:
        ConfigError: if a task or a trainer refuses its configuration.
    """
    torch.set_num_threads(plan.threads)
    keep_freed_memory()  # as a run does
    with ExitStack() as stack:
        benches = [stack.enter_context(opened(*found)) for found in configurations]
        times = time_in_turn([bench.loop for bench in benches], plan.warm_up, plan.repetitions)
        memory = [peak_memory_mb(bench.loop.env.device) for bench in benches]
        rows: List[Row] = []
        for bench, own, peak_mem_mb in zip(benches, times, memory):
            row = {**described(bench, plan), **rates(bench.loop, own)}
            row.update(rate_fields("ratio", ratio(bench.loop, own, benches[0].loop, times[0])))
            row.update(shares(bench, row, plan))
            release_memory(bench.loop.env.device)
            row.update(peak_mem_mb=peak_mem_mb)
            rows.append(row)
    return rows


@contextmanager
def opened(cfg: Config, done_probability: float, ranks: Ranks = ALONE) -> Iterator[Bench]:
    """Build a configuration's trainer over environments that cost nothing; `ranks` share N."""
    spec, device = spec_of(cfg), torch.device(cfg.device)
    spec = replace(spec, num_envs=spec.num_envs // ranks.size)
    env = SyntheticEnv(spec, device, cfg.seed + ranks.rank, done_probability)
    with training(cfg, env, ranks) as bench:
        yield bench._replace(done_probability=done_probability)


@contextmanager
def training(cfg: Config, env: VecEnv, ranks: Ranks = ALONE) -> Iterator[Bench]:
    """Build a configuration's trainer in a run folder that is thrown away.

    Episodes begin late where `staggered_starts` wants it.
    """
    cfg = copy.deepcopy(cfg)
    with tempfile.TemporaryDirectory(prefix="epo-bench-") as name:
        # The screen is the report's.
        cfg.run_dir, cfg.record.console = name, "off"
        folder = RunFolder(Path(name))
        folder.begin(cfg)
        title = RunPlan(f"{env.spec.name} · {cfg.algo.name}", "bench", name)
        with build_recorder(folder.path, cfg.record, title, as_plain(cfg)) as recorder:
            if cfg.staggered_starts:
                stagger(env, int(cfg.num_agents), derive_seed(cfg.seed, "staggered starts"), ranks)
            loop = make_loop(cfg, env, recorder, ranks)
            loop.begin()
            yield Bench(loop, folder)


def spec_of(cfg: Config) -> EnvSpec:
    """Return the spec of the task with all its environments, from a single one on the CPU."""
    one = copy.deepcopy(cfg)
    one.num_envs = one.num_agents = 1
    one.device = "cpu"
    env = environment.make_env(one)
    env.close()
    return replace(env.spec, num_envs=cfg.num_envs)


def time_in_turn(loops: Sequence[Loop], warm_up: int, repetitions: int) -> List[Times]:
    """Run iterations, the device waited for around each; the parts are the trainers' own split."""
    for loop in loops:
        for _ in range(warm_up):
            loop.iterate()
    times = [Times([], [], []) for _ in loops]
    for _ in range(repetitions):
        for loop, own in zip(loops, times):
            own.iteration.append(elapsed_s(loop.env.device, loop.iterate))
            found = loop.last_metrics
            own.rollout.append(found["act_s"] + found["sim_s"])
            own.update.append(found["learn_s"])
    return times


def ratio(loop: Loop, times: Times, first: Loop, of_first: Times) -> Rate:
    """Return the rate of trained samples over that of the first row, of each turn."""
    samples = trained_samples(loop) / trained_samples(first)
    found = [samples * there / here for here, there in zip(times.iteration, of_first.iteration)]
    return Rate(statistics.median(found), min(found), max(found))


def described(bench: Bench, plan: Plan) -> Row:
    """Return what is measured, and on what."""
    loop = bench.loop
    cfg, spec = loop.cfg, loop.env.spec
    return {
        "device": cfg.device,
        "device_name": device_name(cfg.device),
        "task": spec.name,
        "algo": cfg.algo.name,
        "num_envs": spec.num_envs,
        "agents": cfg.num_agents,
        "copies": relabelled_sequences(loop) * loop.tracker.num_agents // spec.num_envs,
        "horizon": loop.frames_per_iteration // spec.num_envs,
        "net": cfg.algo.network.kind,
        "precision": cfg.precision,
        "threads": plan.threads,
        "dones": bench.done_probability,
        "warm_up": plan.warm_up,
        "repetitions": plan.repetitions,
    }


def rates(loop: Loop, times: Times) -> Row:
    """Return samples per second and the median times.

    A sample is a step of an environment; a trained one also a relabelled step.
    """
    own = loop.frames_per_iteration
    return {
        **rate_fields("samples_per_s", rate(own, times.iteration)),
        "trained_samples_per_s": rate(trained_samples(loop), times.iteration).median,
        "iteration_s": statistics.median(times.iteration),
        "rollout_s": statistics.median(times.rollout),
        "update_s": statistics.median(times.update),
    }


def trained_samples(loop: Loop) -> int:
    """Count the steps that an iteration learns from, relabelled ones included."""
    own = loop.frames_per_iteration
    return own + relabelled_sequences(loop) * (own // loop.env.spec.num_envs)


def relabelled_sequences(loop: Loop) -> int:
    """Count the sequences of one agent that another one learns from in an iteration."""
    if not isinstance(loop, Trainer):
        return 0
    aggregation, num_agents = loop.cfg.algo.aggregation, loop.model.num_agents
    learners = num_agents if aggregation.mode == "symmetric" else 1
    return num_copies(num_agents, aggregation) * learners * loop.learner.block


def shares(bench: Bench, row: Row, plan: Plan) -> Row:
    """Compare the times with plain matrix products, and find the overhead; None: not measured."""
    found: Row = dict.fromkeys(SHARES)
    loop = bench.loop
    if plan.with_shares and isinstance(loop, Trainer):
        seconds = row["rollout_s"], row["update_s"], row["iteration_s"]
        found.update(matmul_shares(loop, relabelled_sequences(loop), *seconds))
        found["overhead_share"] = overhead_share(loop, bench.folder, plan.repetitions)
    return found
