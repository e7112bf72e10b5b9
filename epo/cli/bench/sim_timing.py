"""Times of one configuration's environments: physics alone, whole steps and their parts."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Callable, Dict, List, Sequence, Tuple

import torch
from torch import Tensor

from epo.cli import environment
from epo.cli.bench.memory import peak_memory_mb, release_memory
from epo.cli.bench.report import Row, rate_fields
from epo.cli.bench.timing import elapsed_s, rate, repeated_s, synchronize, timed
from epo.config import Config
from epo.stopwatch import Stopwatch

TARGET_STEP_RAD = 1.0 / 6.0
"""Most that a joint target moves per step in physics alone: the task's 10 rad/s at 60 Hz."""
LOOKS = 20
"""How often the contacts and constraint rows of the worlds are counted during the warm-up."""


def measure(
    cfg: Config, num_steps: int, seconds: float, repetitions: int
) -> Tuple[Dict[str, Any], Row]:
    """Build the environments of a resolved configuration and time them.

    Args:
        cfg: validated and resolved configuration.
        num_steps: control steps of warm-up, over which bad worlds are counted.
        seconds: time for whole steps, and at most again for physics alone, s.
        repetitions: parts of that time.

    Returns:
        What was measured (task, engine, device, simulators), and the numbers.

    Raises:
        ConfigError: if the environments cannot be built.
    """
    begin = time.perf_counter()
    env: Any = environment.make_env(cfg)
    try:
        act = random_actions(env, cfg.seed)
        env.reset()
        env.step(act())
        synchronize(env.device)
        construct_s = time.perf_counter() - begin
        faults, warm_up_s = warm_up(env, act, num_steps)
        block_steps = max(1, round(seconds / repetitions / (warm_up_s / num_steps)))
        task = time_task(env, act, block_steps, repetitions)
        # The worlds' state is saved and loaded beside the physics: not part of the need.
        peak_mem_mb = peak_memory_mb(env.device)
        row: Row = {
            "num_envs": env.spec.num_envs,
            **time_physics(env, block_steps, repetitions, cfg.seed),
            **task,
            "construct_s": construct_s,
            "peak_mem_mb": peak_mem_mb,
            **faults,
            "warm_up_steps": num_steps,
            "block_steps": block_steps,
        }
        machine = {
            "device": cfg.device,
            "simulators": dict(env.spec.versions),
            "task": env.spec.name,
            "engine": env.spec.engine,
        }
    finally:
        env.close()
        release_memory(env.device)
    return machine, row


def random_actions(env: Any, seed: int) -> Callable[[], Tensor]:
    """Return a function that draws actions [N, A], uniform in [-1, 1] or among the choices.

    It always draws into one tensor.
    """
    generator = torch.Generator(env.device).manual_seed(seed)
    action = torch.empty(env.spec.num_envs, env.spec.action_dim, device=env.device)
    if env.spec.choices:
        choices = torch.tensor(env.spec.choices, device=env.device)
        return lambda: action.uniform_(generator=generator).mul_(choices).floor_()
    return lambda: action.uniform_(-1.0, 1.0, generator=generator)


def warm_up(env: Any, act: Callable[[], Tensor], num_steps: int) -> Tuple[Dict[str, Any], float]:
    """Step until the worlds no longer look alike, and count what goes wrong.

    Returns:
        World steps (control steps of one world) that were bad or lost contacts or constraint
        rows as entries of a row, None where nobody counts them; and the seconds taken.
    """
    stagger(env)
    bad = torch.zeros((), dtype=torch.float64, device=env.device)
    loads: List[Dict[str, Tensor]] = []
    every = max(1, num_steps // LOOKS)

    def block() -> None:
        for step in range(1, num_steps + 1):
            bad.add_(env.step(act()).scalars.get("bad_worlds", math.nan))
            if step % every == 0 and hasattr(getattr(env, "sim", None), "load"):
                loads.append(env.sim.load())

    before = overflows(env)
    seconds = elapsed_s(env.device, block)
    lost = {name: count - before[name] for name, count in overflows(env).items()}
    faults = {
        "bad_worlds": None if bad.isnan() else int(bad),
        "overflow": sum(lost.values()) if lost else None,
        **lost,
        **load_fields("contacts", [load["contacts"] for load in loads]),
        **load_fields("rows", [load["rows"] for load in loads]),
    }
    return faults, seconds


def load_fields(name: str, counts: Sequence[Tensor]) -> Dict[str, Any]:
    """Return mean, 95th percentile and maximum of counts per world as entries of a row."""
    names = (f"{name}_mean", f"{name}_p95", f"{name}_max")
    if not counts:
        return dict.fromkeys(names)
    # Sorted on the host: torch's quantile takes 16 million numbers at most.
    found = torch.cat([count.flatten() for count in counts]).cpu().sort().values
    at_95 = found[math.ceil(0.95 * len(found)) - 1]
    return dict(zip(names, (float(found.double().mean()), int(at_95), int(found[-1]))))


def time_task(
    env: Any, act: Callable[[], Tensor], num_steps: int, repetitions: int
) -> Dict[str, Any]:
    """Time whole steps, the drawing of the actions included, and what they consist of.

    Returns:
        Rate and shares as entries of a row.
    """
    stopwatch = Stopwatch(env.device)

    def block() -> None:
        for _ in range(num_steps):
            env.step(act())

    with ExitStack() as stack:
        if has_physics(env):
            stack.enter_context(timed(stopwatch, "physics", env.sim, "step"))
            stack.enter_context(timed(stopwatch, "reset", env, "restart"))
        seconds = repeated_s(env.device, repetitions, block)
    row = rate_fields("env_steps_per_s", rate(env.spec.num_envs * num_steps, seconds))
    if not has_physics(env):
        return {**row, "physics_share": None, "task_share": None, "reset_share": None}
    parts, total = stopwatch.read(), sum(seconds)
    physics, reset = parts["physics"] / total, parts.get("reset", 0.0) / total
    shares = {"physics_share": physics, "task_share": 1.0 - physics - reset, "reset_share": reset}
    return {**row, **shares}


def time_physics(env: Any, num_steps: int, repetitions: int, seed: int) -> Dict[str, Any]:
    """Time the simulator alone under controls that walk at random inside their limits.

    Every repetition begins in the state that the task's steps led to: left to itself, the
    physics gets faster as the objects fall to the floor.

    Returns:
        Rate as entries of a row.
    """
    if not has_physics(env):
        return rate_fields("physics_steps_per_s", None)
    sim = env.sim
    lower, upper = control_limits(sim)
    generator = torch.Generator(sim.device).manual_seed(seed)
    target, start = torch.empty_like(sim.ctrl), sim.state_dict()

    def block() -> None:
        for _ in range(num_steps):
            target.uniform_(-TARGET_STEP_RAD, TARGET_STEP_RAD, generator=generator).add_(sim.ctrl)
            sim.ctrl.copy_(target.clamp_(lower, upper))
            sim.step()

    seconds = repeated_s(sim.device, repetitions, block, lambda: sim.load_state_dict(start))
    return rate_fields("physics_steps_per_s", rate(sim.num_envs * num_steps, seconds))


def has_physics(env: Any) -> bool:
    """Return whether the task is one over a `Simulator`: others have no parts to time."""
    return hasattr(env, "sim") and hasattr(env, "restart")


def control_limits(sim: Any) -> Tuple[Tensor, Tensor]:
    """Return the least and largest controls: of joint targets, or else of the actuators."""
    if hasattr(sim, "joint_lower"):
        return sim.joint_lower, sim.joint_upper
    limits = torch.tensor(sim.model.mj.actuator_ctrlrange.T, dtype=torch.float32)
    return limits[0].to(sim.device), limits[1].to(sim.device)


def stagger(env: Any) -> None:
    """Spread the ages of the episodes evenly: started together, they would also end together."""
    if not has_physics(env):
        return
    num_envs, limit = env.spec.num_envs, env.cfg.episode_length
    ages = torch.arange(num_envs, device=env.device) * limit // num_envs
    if hasattr(env, "episodes"):
        env.episodes.elapsed = ages
    else:
        env.episode = replace(env.episode, progress=ages.to(env.episode.progress.dtype))


def overflows(env: Any) -> Dict[str, int]:
    """Return how many world steps lost contacts or constraint rows, where an engine counts."""
    counters = getattr(getattr(env, "sim", None), "counters", None)
    counts = {} if counters is None else counters.read()
    return {name: count for name, count in counts.items() if name.endswith("_overflow")}
