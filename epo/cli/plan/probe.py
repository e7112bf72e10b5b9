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
from epo.memory import keep_freed_memory, peak_resident_bytes
from epo.record.recorder import Recorder
from epo.runner.budget import buffers
from epo.runner.forecast import MemoryMeter, fixed_bytes
from epo.runner.loop import Loop
from epo.runner.run import make_loop

MIN_ITERATIONS = 2
"""The first one also compiles and allocates; it is not counted."""


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
    meter = MemoryMeter(device)
    with closing(environment.make_env(cfg)) as env, tempfile.TemporaryDirectory() as folder:
        cfg.run_dir = folder
        _touch(env)
        meter.note_simulator()
        loop = make_loop(cfg, env, Recorder([]))
        rows = _train(loop, seconds)
        learner = meter.learner_bytes
        sizes = buffers(loop)
        frames = loop.frames_per_iteration
    networks = fixed_bytes(sizes)
    return Plan(
        buffers=sizes,
        simulator_bytes=meter.simulator_bytes,
        learner_bytes=learner,
        fixed_bytes=networks,
        process_bytes=peak_resident_bytes(),
        free_bytes=meter.free_bytes,
        num_iterations=len(rows),
        fps=frames * len(rows) / sum(frames / row["fps"] for row in rows),
        shares=_shares(rows, frames),
        fitting_envs=meter.fitting_envs(cfg, networks),
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


def _touch(env: VecEnv) -> None:
    """Let the environments allocate what they need for a step."""
    env.reset()
    env.step(torch.zeros(env.spec.num_envs, env.spec.action_dim, device=env.device))


def _shares(rows: List[Dict[str, float]], frames: int) -> Dict[str, float]:
    total = sum(frames / row["fps"] for row in rows)
    parts = {"simulation": "sim_s", "acting": "act_s", "learning": "learn_s"}
    shares = {name: sum(row[column] for row in rows) / total for name, column in parts.items()}
    return {**shares, "rest": max(0.0, 1.0 - sum(shares.values()))}
