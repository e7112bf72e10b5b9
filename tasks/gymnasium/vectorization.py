"""How the environments of a task step: in this process or in workers, and which pays."""

from __future__ import annotations

import logging
import math
import time
from typing import Optional, Protocol, Sequence

from gymnasium import Env

from epo.cores import granted_cores
from tasks.gymnasium.buffers import Layout, Memory
from tasks.gymnasium.chunk import Chunk
from tasks.gymnasium.config import GymnasiumCfg
from tasks.gymnasium.generators import Generators
from tasks.gymnasium.guard import RESET, STEP, FailedError, Guard
from tasks.gymnasium.workers import WorkerPool

WORTH_WORKERS_S = 2e-3
"""Control step of all environments from which `auto` takes workers, s (ours: ten times what
handing it over to four of them takes)."""
HANDOVER_S = 3e-5
"""What every worker adds to a step of all, s (measured with 1 to 8 workers on 4 cores)."""
TIMED_STEPS = 32
TIMED_S = 0.3
"""Control steps of one environment, or their time, that `auto` is decided by (ours)."""
_LOG = logging.getLogger(__name__)


class Stepper(Protocol):
    """Steps all environments over their buffers: a `Chunk` or a `WorkerPool`.

    All methods raise `FailedError` if an environment cannot continue.
    """

    def reset(self, seeds: Optional[Sequence[int]] = None) -> None:
        """Begin a new episode everywhere."""
        ...

    def set_clocks(self, elapsed: Sequence[int]) -> None:
        """Let the time limits of the present episodes be over `elapsed` control steps earlier."""
        ...

    def step(self) -> None:
        """Apply the actions in the buffers."""
        ...

    def generators(self) -> Generators:
        """Return the state of all random numbers."""
        ...

    def restore(self, states: Generators) -> None:
        """Set the random numbers and begin new episodes."""
        ...

    def close(self) -> None:
        """Free everything."""
        ...


def make_stepper(cfg: GymnasiumCfg, layout: Layout, memory: Memory, num_workers: int) -> Stepper:
    """Build all environments, in `num_workers` processes or, for 0, in this one."""
    if num_workers:
        return WorkerPool(cfg, layout, memory, num_workers)
    return Chunk(cfg, layout.view(memory), first=0)


def choose_workers(cfg: GymnasiumCfg, num_envs: int, sample: Env, guard: Guard) -> int:
    """Return the number of worker processes, 0 for none.

    Args:
        cfg: settings.
        num_envs: N.
        sample: an environment to time; its state is lost.
        guard: of the sample.
    """
    most = min(cfg.num_workers or granted_cores(), num_envs)
    if cfg.vectorization == "async":
        return most
    if cfg.vectorization == "sync" or most == 1:
        return 0
    total_s = num_envs * step_s(sample, guard)
    # A step takes total / W + handover * W: least at W^2 = total / handover.
    best = round(math.sqrt(total_s / HANDOVER_S))
    return min(most, best) if total_s >= WORTH_WORKERS_S else 0


def step_s(env: Env, guard: Guard) -> float:
    """Time control steps of one environment under random actions, s; 0 if it fails in one.

    Raises:
        FailedError: if it hangs.
    """
    count, start = 0, time.perf_counter()
    try:
        with guard(RESET):
            env.action_space.seed(0)
            env.reset(seed=0)
            while count < TIMED_STEPS and time.perf_counter() - start < TIMED_S:
                guard.at(count, STEP)
                _, _, terminated, truncated, _ = env.step(env.action_space.sample())
                count += 1
                if terminated or truncated:
                    guard.at(count, RESET)
                    env.reset()
    except FailedError as error:
        if error.is_hang:
            raise
        # It will fail again where the message names the environment.
        _LOG.debug("cannot be timed: %s", error)
        return 0.0
    return (time.perf_counter() - start) / max(count, 1)
