"""How far the GPU's engine and MuJoCo in C are apart after the same commands, as JSON."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, List, Sequence

import torch

from epo.cli import environment
from epo.cli.arguments import split
from epo.cli.bench.report import Row, print_json
from epo.cli.compose import one_line_errors
from epo.config import ConfigError

NAMES = ("joint_pos", "object_pose")


@dataclass
class ParityOptions:
    """What to compare."""

    device: str = "cuda"
    """Of the GPU's engine."""
    steps: str = "1,6,12,60"
    """Control steps after which the engines are compared, separated by commas."""


def main(arguments: Sequence[str]) -> None:
    """Compare and print a line of JSON for each number of steps."""
    options, others = split(arguments, ParityOptions())
    environment.register()
    try:
        marks = [int(word) for word in options.steps.split(",")]
    except ValueError as error:
        raise ConfigError("steps", options.steps, "use numbers separated by commas") from error
    # As many solver iterations on both sides: what remains is rounding.
    warp = ("engine=mujoco_warp", "engine.solver_iterations=0", f"device={options.device}")
    envs = [
        environment.make_env(
            environment.ready(environment.configurations([*others, *engine])[0])[0]
        )
        for engine in (("engine=mujoco", "device=cpu"), warp)
    ]
    try:
        for row in compare(envs, marks):
            print_json(parity=envs[1].spec.name, num_envs=envs[1].spec.num_envs, **row)
    finally:
        for env in envs:
            env.close()


def compare(envs: Sequence[Any], marks: Sequence[int]) -> List[Row]:
    """Move the worlds of both environments alike and measure how far they are apart.

    Args:
        envs: the task on two engines; the first one's reset gives the start.
        marks: control steps after which to look.

    Returns:
        For each mark the median and the greatest difference of joints, rad, and of the object's
        position and quaternion, m and 1.
    """
    sims = [env.sim for env in envs]
    for env in envs:
        env.reset()
    start = [getattr(sims[0], name).clone() for name in ("joint_pos", "joint_vel", "object_pose")]
    everywhere = torch.ones(sims[0].num_envs, dtype=torch.bool)
    for sim in sims:
        rest = torch.zeros(sim.num_envs, 6, device=sim.device)
        sim.set_state(everywhere.to(sim.device), *(x.to(sim.device) for x in start), rest)
    generator = torch.Generator().manual_seed(0)
    target, rows = start[0].clone(), []
    for step in range(1, max(marks) + 1):
        target += 0.1 * (torch.rand(target.shape, generator=generator) - 0.5)
        target.clamp_(sims[0].joint_lower, sims[0].joint_upper)
        for sim in sims:
            sim.ctrl.copy_(target)
            sim.object_force.zero_()
            sim.step()
        if step in marks:
            rows.append({"steps": step, **_apart(sims)})
    return rows


def _apart(sims: Sequence[Any]) -> Row:
    row: Row = {}
    for name in NAMES:
        apart = (getattr(sims[0], name).cpu() - getattr(sims[1], name).cpu()).abs()
        row[f"{name}_median"], row[f"{name}_max"] = float(apart.median()), float(apart.max())
    return row


if __name__ == "__main__":
    with one_line_errors():
        main(sys.argv[1:])
