"""What a run will take, told from a few of its seconds: in `epo plan`, and by every run itself."""

from __future__ import annotations

import time
from typing import Callable, Dict, Optional

import torch

from epo.config import Config
from epo.memory import binary, free_bytes, peak_resident_bytes, resident_bytes
from epo.record.progress import clock, short
from epo.runner.budget import buffers
from epo.runner.loop import Loop
from epo.terminal import say

SHARE_AT_MOST = 0.9
"""Of the free memory that a suggested number of environments takes."""
PROBE_S = 10.0
"""How long a run trains before it says what it will take."""
UNLIMITED_FRAMES = 1_000_000_000
"""What the time is told for where the run has no `max_frames`."""
_FIXED = ("parameters", "gradients", "moments", "statistics")
"""Buffers that do not grow with the number of environments: those of the networks."""


class MemoryMeter:
    """Memory that a run takes on its device, from before its environments exist.

    On a GPU what is taken on the device, other processes included; on a CPU the resident memory
    of this process.

    Args:
        device: where the run trains.
        num_sharing: processes of the run that share its memory: ranks on a CPU.

    Attributes:
        free_bytes: of the device before anything was built, for this process.
        simulator_bytes: what the environments took.
    """

    def __init__(self, device: torch.device, num_sharing: int = 1) -> None:
        _warm_up(device)
        self.device = device
        self.free_bytes = free_bytes(device) // num_sharing
        self.simulator_bytes = 0
        self._before = _taken(device)

    def note_simulator(self) -> None:
        """Take what was added so far for the environments'."""
        self.simulator_bytes = max(_taken(self.device) - self._before, 0)

    @property
    def learner_bytes(self) -> int:
        """What training took beside the environments at its peak, buffers included."""
        return max(_peak(self.device) - self._before - self.simulator_bytes, 0)

    def fitting_envs(self, cfg: Config, fixed_bytes: int) -> int:
        """Return how many environments fit if all but the networks grows with their number.

        Of several ranks, each with memory like this one's, it is the number for all of them.

        Args:
            cfg: of the whole run that was measured.
            fixed_bytes: of the networks.
        """
        taken = self.simulator_bytes + self.learner_bytes
        each = max(taken - fixed_bytes, 1) / int(cfg.num_envs)
        num_agents = int(cfg.num_agents)
        room = SHARE_AT_MOST * self.free_bytes - fixed_bytes
        return max(int(room / each), 0) // num_agents * num_agents


def fixed_bytes(sizes: Dict[str, int]) -> int:
    """Return what does not grow with the number of environments, of `budget.buffers`."""
    return sum(size for name, size in sizes.items() if name.rpartition(".")[2] in _FIXED)


def hours(fps: float, cfg: Config) -> float:
    """Return the time to `max_frames`, or to 1e9 frames without, h."""
    return (cfg.max_frames or UNLIMITED_FRAMES) / fps / 3600.0


def duration(fps: float, cfg: Config) -> str:
    """Write `hours`: as h:mm:ss if it is less than one."""
    found = hours(fps, cfg)
    return f"{found:.3g} h" if found >= 1.0 else clock(3600.0 * found)


def goal(cfg: Config) -> str:
    """Name the frames that `hours` counts to."""
    return f"max_frames={short(cfg.max_frames)}" if cfg.max_frames else "1 G frames (no max_frames)"


class Forecast:
    """Says once what a run will take, when it has trained for some seconds.

    Args:
        meter: of the memory, from before the environments were built.
        clock: gives the time, s.
    """

    def __init__(self, meter: MemoryMeter, clock: Callable[[], float] = time.perf_counter) -> None:
        self._meter = meter
        self._clock = clock
        self._is_over = False
        self._start: Optional[float] = None
        self._first_frames = 0

    def look(self, loop: Loop) -> None:
        """Look at the run after an iteration; the first one also compiles, and is not counted."""
        if self._is_over:
            return
        if self._start is None:
            self._start, self._first_frames = self._clock(), loop.frames
            return
        elapsed = self._clock() - self._start
        if elapsed >= PROBE_S:
            self._is_over = True
            say(self._line(loop, (loop.frames - self._first_frames) / elapsed))

    def _line(self, loop: Loop, fps: float) -> str:
        meter, cfg = self._meter, loop.cfg
        room = meter.fitting_envs(cfg, fixed_bytes(buffers(loop)))
        return (
            f"plan: {short(fps)} frames/s, {duration(fps, cfg)} to {goal(cfg)}; "
            f"simulator {binary(meter.simulator_bytes)}, learner {binary(meter.learner_bytes)} on "
            f"{meter.device}, where num_envs={room} would fit"
        )


def _warm_up(device: torch.device) -> None:
    """Let torch load what the first update of any network loads: that is no part of the run's."""
    with torch.random.fork_rng(devices=[]):
        network = torch.nn.Linear(2, 2)
    network = network.to(device)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 2, device=device)).sum().backward()
    optimizer.step()


def _taken(device: torch.device) -> int:
    """Return what is taken on the device now, by this process where that can be told."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return total - free
    return resident_bytes()


def _peak(device: torch.device) -> int:
    """Return the most that was taken; torch and Warp keep what they once took on a GPU."""
    return _taken(device) if device.type == "cuda" else peak_resident_bytes()
