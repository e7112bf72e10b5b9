"""The probe: a run that trains for some seconds and leaves nothing behind."""

from __future__ import annotations

import tempfile
import time
from contextlib import closing
from typing import Dict, List, NamedTuple

import torch

from epo.cli import environment
from epo.cli.progress import progress
from epo.config import Config
from epo.envs import VecEnv
from epo.memory import free_bytes, keep_freed_memory, peak_resident_bytes, resident_bytes
from epo.record.recorder import Recorder
from epo.runner.budget import buffers
from epo.runner.loop import Loop
from epo.runner.run import make_loop

MIN_ITERATIONS = 2
"""The first one also compiles and allocates; it is not counted."""
SHARE_AT_MOST = 0.9
"""Of the free memory that a suggested number of environments takes."""


class Plan(NamedTuple):
    """What was measured.

    Attributes:
        buffers: every tensor of the learner, name -> bytes, the largest first.
        simulator_bytes: what the environments took on the device.
        learner_bytes: what training took beside them at its peak, buffers included.
        fixed_bytes: of those what does not grow with the number of environments.
        process_bytes: peak of the process in main memory.
        free_bytes: of the device before anything was built.
        num_iterations: that were timed.
        fps: environment frames per second.
        shares: simulation, acting, learning and the rest -> share of the time.
        fitting_envs: largest multiple of num_agents that fits, by these figures.
    """

    buffers: Dict[str, int]
    simulator_bytes: int
    learner_bytes: int
    fixed_bytes: int
    process_bytes: int
    free_bytes: int
    num_iterations: int
    fps: float
    shares: Dict[str, float]
    fitting_envs: int


def probe(cfg: Config, seconds: float) -> Plan:
    """Build the run, let it train for `seconds`, and measure."""
    keep_freed_memory()
    device = torch.device(cfg.device)
    _warm_up(device)
    free, before = free_bytes(device), _taken(device)
    with closing(environment.make_env(cfg)) as env, tempfile.TemporaryDirectory() as folder:
        cfg.run_dir = folder
        _touch(env)
        simulator = _taken(device) - before
        loop = make_loop(cfg, env, Recorder([]))
        rows = _train(loop, seconds)
        learner = max(_peak(device) - before - simulator, 0)
        sizes = buffers(loop)
        frames = loop.frames_per_iteration
    networks = sum(n for name, n in sizes.items() if _is_fixed(name))
    return Plan(
        buffers=sizes,
        simulator_bytes=simulator,
        learner_bytes=learner,
        fixed_bytes=networks,
        process_bytes=peak_resident_bytes(),
        free_bytes=free,
        num_iterations=len(rows),
        fps=frames * len(rows) / sum(frames / row["fps"] for row in rows),
        shares=_shares(rows, frames),
        fitting_envs=_fitting(cfg, free, networks, simulator + learner),
    )


def _train(loop: Loop, seconds: float) -> List[Dict[str, float]]:
    """Run iterations until the time is over; give the rows of all but the first."""
    rows: List[Dict[str, float]] = []
    with progress("probe", max(1, round(seconds))) as tick:
        loop.iterate()
        start = time.perf_counter()
        while len(rows) < MIN_ITERATIONS - 1 or time.perf_counter() - start < seconds:
            rows.append(loop.iterate())
            tick(round(time.perf_counter() - start))
    return rows


def _warm_up(device: torch.device) -> None:
    """Let torch load what the first update of any network loads: that is no part of the run's."""
    network = torch.nn.Linear(2, 2, device=device)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 2, device=device)).sum().backward()
    optimizer.step()


def _touch(env: VecEnv) -> None:
    """Let the environments allocate what they need for a step."""
    env.reset()
    env.step(torch.zeros(env.spec.num_envs, env.spec.action_dim, device=env.device))


def _shares(rows: List[Dict[str, float]], frames: int) -> Dict[str, float]:
    total = sum(frames / row["fps"] for row in rows)
    parts = {"simulation": "sim_s", "acting": "act_s", "learning": "learn_s"}
    shares = {name: sum(row[column] for row in rows) / total for name, column in parts.items()}
    return {**shares, "rest": max(0.0, 1.0 - sum(shares.values()))}


def _fitting(cfg: Config, free: int, fixed: int, taken: int) -> int:
    """Give how many environments fit if all but the networks grows with their number."""
    each = max(taken - fixed, 1) / int(cfg.num_envs)
    num_agents = int(cfg.num_agents)
    return max(int((SHARE_AT_MOST * free - fixed) / each), 0) // num_agents * num_agents


def _is_fixed(name: str) -> bool:
    """Tell whether a buffer belongs to the networks."""
    return name.rpartition(".")[2] in ("parameters", "gradients", "moments", "statistics")


def _taken(device: torch.device) -> int:
    """Return what is taken on the device now, by this process where that can be told."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return total - free
    return resident_bytes()


def _peak(device: torch.device) -> int:
    """Return the most that was taken; torch and Warp keep what they once took on a GPU."""
    return _taken(device) if device.type == "cuda" else peak_resident_bytes()
