"""Environments that do what they should not; `tests.tasks.gymnasium.bad:<name>` finds them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any, Optional

import gymnasium
import numpy as np
from gymnasium import Env, spaces

BAD = "tests.tasks.gymnasium.bad:"


class Fine(Env):
    """The base of all others: three numbers, a reward of 1, episodes of five steps."""

    observation_space = spaces.Box(-1.0, 1.0, (3,))
    action_space = spaces.Box(-1.0, 1.0, (1,))

    def reset(self, *, seed: Optional[int] = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(3, np.float32), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        return np.zeros(3, np.float32), 1.0, self.steps == 5, False, {}


class LegacyGenerator(Fine):
    """Keeps numpy's old generator where Gymnasium has its own, or something else."""

    def __init__(self, kind: str = "legacy") -> None:
        self.kind = kind

    @property
    def np_random(self) -> Any:
        if self.kind == "raises":
            raise RuntimeError("no random numbers here")
        return np.random.RandomState(0) if self.kind == "legacy" else None

    def reset(self, *, seed: Optional[int] = None, options: Any = None) -> Any:
        self.steps = 0
        return np.zeros(3, np.float32), {}


class Unclosable(Fine):
    """Raises when it is closed, or never finishes."""

    def __init__(self, how: str = "raises") -> None:
        self.how = how

    def close(self) -> None:
        if self.how == "hangs":
            time.sleep(1000)
        raise OSError("the door\nis stuck")


class Unbuildable(Fine):
    """Cannot be built."""

    def __init__(self, map_file: str, kind: str = "file") -> None:
        if kind == "exit":
            sys.exit(3)
        raise {"file": FileNotFoundError(2, "No such file", map_file), "runtime": RuntimeError()}[
            kind
        ]


class Values(Fine):
    """Gives a wrong value of some kind in its third step."""

    def __init__(self, **values: Any) -> None:
        self.values = values

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        if self.steps == 3:
            observation = self.values.get("observation", observation)
            reward = self.values.get("reward", reward)
            terminated = self.values.get("terminated", terminated)
        if self.values.get("is_old"):
            return observation, reward, terminated, info
        return observation, reward, terminated, truncated, info


class Changing(Fine):
    """Changes what the process has only once, and expects to find it so."""

    def __init__(self) -> None:
        import torch  # here, to spare the workers of other tests

        self.torch = torch
        self.folder = tempfile.mkdtemp()
        os.chdir(self.folder)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.set_num_threads(3)
        np.seterr(divide="raise")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def step(self, action: Any) -> Any:
        assert os.path.samefile(os.getcwd(), self.folder)
        torch = self.torch
        assert torch.zeros(1).dtype == torch.float64 and not torch.is_grad_enabled()
        assert torch.get_num_threads() == 3 and np.geterr()["divide"] == "raise"
        return super().step(action)


class SmallSeeds(Fine):
    """Hands its seed to something that takes 31 bits."""

    def reset(self, *, seed: Optional[int] = None, options: Any = None) -> Any:
        assert seed is None or 0 <= seed < 2**31
        return super().reset(seed=seed)


def _sleep() -> None:
    time.sleep(1000)


class Parent(Fine):
    """Starts processes, and leaves one behind; the observation is the process id."""

    observation_space = spaces.Box(0, np.inf, (3,), np.float64)

    def __init__(self, hangs: bool = False) -> None:
        self.hangs = hangs
        fork = multiprocessing.get_context("fork")
        self.child = fork.Process(target=_sleep, daemon=True)
        self.child.start()
        self.program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])

    def reset(self, *, seed: Optional[int] = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self._pids(), {}

    def step(self, action: Any) -> Any:
        if self.hangs:
            time.sleep(1000)
        _, *others = super().step(action)
        return (self._pids(), *others)

    def close(self) -> None:
        """End the forked child with SIGTERM, wait for it, and in a worker forget the program."""
        self.child.terminate()
        self.child.join()
        if multiprocessing.parent_process() is None:
            self.program.kill()
            self.program.wait()

    def _pids(self) -> np.ndarray:
        return np.array([os.getpid(), self.child.pid, self.program.pid], np.float64)


class Hanging(Fine):
    """Never comes back from a phase, in Python or where Python cannot interrupt it."""

    def __init__(self, phase: str = "step", is_stubborn: bool = False) -> None:
        self.phase, self.is_stubborn = phase, is_stubborn
        self._wait("construction")

    def reset(self, *, seed: Optional[int] = None, options: Any = None) -> Any:
        self._wait("reset")
        return super().reset(seed=seed)

    def step(self, action: Any) -> Any:
        if self.steps == 1:
            self._wait("step")
        return super().step(action)

    def _wait(self, phase: str) -> None:
        if phase == self.phase:
            if self.is_stubborn:  # as C code does that holds the interpreter
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
            while True:
                with contextlib.suppress(Exception):  # tries again for ever
                    time.sleep(1000)


for _name in (
    *("LegacyGenerator", "Unclosable", "Unbuildable", "Values", "Changing", "SmallSeeds"),
    *("Parent", "Hanging"),
):
    gymnasium.register(f"{_name}-v0", entry_point=f"{__name__}:{_name}")
