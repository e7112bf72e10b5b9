"""A plan as a table and as plain types."""

from __future__ import annotations

from typing import Any, Dict

from rich.console import Console
from rich.table import Table

from epo.cli.plan.probe import Plan
from epo.config import Config
from epo.memory import binary
from epo.record.progress import short
from epo.runner.forecast import SHARE_AT_MOST, duration, goal, hours

NUM_BUFFERS = 12
"""Rows of the largest buffers; the others are one row."""


def show(plan: Plan, cfg: Config) -> None:
    """Print the largest buffers, memory, speed, time and room."""
    console = Console()
    grid = Table(box=None, pad_edge=False)
    grid.add_column("buffer", no_wrap=True)
    grid.add_column("size", justify="right", no_wrap=True)
    largest = list(plan.buffers.items())
    for name, size in largest[:NUM_BUFFERS]:
        grid.add_row(name, binary(size))
    if len(largest) > NUM_BUFFERS:
        rest = largest[NUM_BUFFERS:]
        grid.add_row(f"{len(rest)} smaller ones", binary(sum(size for _, size in rest)))
    console.print(grid)
    shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in plan.shares.items())
    taken = plan.simulator_bytes + plan.learner_bytes
    envs = f"{binary(taken)} for {cfg.num_envs:,}"
    free = f"{100 * SHARE_AT_MOST:.0f} % of {binary(plan.free_bytes)}"
    lines = {
        "buffers": f"{binary(sum(plan.buffers.values()))} in all",
        "memory": f"simulator {binary(plan.simulator_bytes)}, learner at its peak "
        f"{binary(plan.learner_bytes)}, process {binary(plan.process_bytes)}",
        "speed": f"{short(plan.fps)} frames/s over {plan.num_iterations} iterations ({shares})",
        "time": f"{duration(plan.fps, cfg)} to {goal(cfg)}",
        "room": f"num_envs={plan.fitting_envs} would fit into {free} that are free on {cfg.device} "
        f"({envs} now)",
    }
    for name, text in lines.items():
        console.print(f"{name:<9}{text}", markup=False, highlight=False, soft_wrap=True)


def as_plain(plan: Plan, cfg: Config) -> Dict[str, Any]:
    """Give everything as plain types, sizes in bytes."""
    sizes = {"num_agents": cfg.num_agents, "num_envs": cfg.num_envs, "device": cfg.device}
    limit = {"max_frames": cfg.max_frames, "hours": hours(plan.fps, cfg)}
    return {"task": cfg.task.name, "algo": cfg.algo.name, **sizes, **limit, **plan._asdict()}
