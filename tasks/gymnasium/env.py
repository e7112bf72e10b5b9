"""Gymnasium environments behind the `VecEnv` contract."""

from __future__ import annotations

import importlib.metadata
import logging
import sys
from contextlib import contextmanager
from functools import cache
from typing import Any, Dict, Iterator, List, Mapping, Optional, Type

import numpy as np
import torch
from torch import Tensor

from epo.envs import EnvError, EnvSpec, Step
from tasks.clock import clock_spread
from tasks.errors import refuse
from tasks.gymnasium.buffers import Layout
from tasks.gymnasium.chunk import Chunk
from tasks.gymnasium.config import GymnasiumCfg
from tasks.gymnasium.environments import control_dt_s, episode_length, sample
from tasks.gymnasium.guard import FailedError, Guard
from tasks.gymnasium.lookup import find_spec
from tasks.gymnasium.picture import Size
from tasks.gymnasium.spaces import read_spaces
from tasks.gymnasium.values import LARGEST, find_unusable
from tasks.gymnasium.vectorization import choose_workers, make_stepper

MAX_ENVS = 4096
"""Every environment is an object that is stepped on its own: more make no sense (ours)."""
_SIMULATORS = ("mujoco", "Box2D", "ale_py")
"""Modules whose version belongs to a run that uses them."""
_LOG = logging.getLogger(__name__)


class GymnasiumEnv:
    """N environments of one kind, in this process or in workers, with equal numbers.

    Environment i draws its random numbers from the seed and i alone. The reset happens inside
    `step`; where an episode is both terminated and truncated, terminated counts. Metrics:
    `fitness` is the return of the episode, `solved` is 1 where it reached the threshold.

    An arbitrary environment cannot be saved in the middle of an episode. After
    `load_state_dict` new episodes begin, with the saved random numbers where they are known; the
    first step, whose action was chosen for the lost episode, is not valid (`Step.valid`).

    Args:
        cfg: settings, checked.
        num_envs: N.
        device: where all tensors live; the environments themselves run on the CPU.
        seed: of the environments' random numbers.

    Raises:
        ValueError: if the environment cannot be built, or its spaces do not fit the contract.
    """

    def __init__(self, cfg: GymnasiumCfg, num_envs: int, device: torch.device, seed: int) -> None:
        if num_envs > MAX_ENVS:
            refuse("num_envs", num_envs, f"Gymnasium tasks step one by one; use at most {MAX_ENVS}")
        guard = Guard(cfg)
        with sample(cfg, guard) as env:
            observations, actions = read_spaces(cfg, env, guard)
            with self._failures(ValueError):
                num_workers = choose_workers(cfg, num_envs, env, guard)
            dt_s = control_dt_s(env, cfg.frame_skip)
        self._actions, self._label = actions, observations.label
        self.device = device
        self.spec = EnvSpec(
            name=cfg.env_id,
            engine=f"gymnasium ({num_workers} workers)" if num_workers else "gymnasium",
            num_envs=num_envs,
            observation_dim=observations.dim,
            action_dim=actions.dim,
            control_dt_s=dt_s,
            versions=versions(),
            choices=actions.choices,
            image_shape=observations.image_shape,
            has_invalid_steps=True,
            metrics=("fitness", "solved"),
            success="solved",
            headline=("solved",),
        )
        layout = Layout(num_envs, actions.dim, actions.dtype, observations.dim, observations.dtype)
        memory = layout.allocate()
        self._buffers = layout.view(memory)
        self._return = np.zeros(num_envs)
        self._num_steps, self._steps_of_episode = 0, np.zeros(num_envs, np.int64)
        self._time_limit = episode_length(cfg)
        self._head_start = np.zeros(num_envs, np.int64)
        self._late: Optional[np.ndarray] = None
        self._is_fresh, self._is_resumed = True, False
        threshold = find_spec(cfg).reward_threshold
        self._solved_return = threshold if cfg.solved_return is None else cfg.solved_return
        with self._failures(ValueError):
            self._stepper = make_stepper(cfg, layout, memory, num_workers)
            try:
                self._stepper.reset(env_seeds(seed, num_envs))
                self._check_values()
            except BaseException:
                self._stepper.close()
                raise

    @property
    def time_limit(self) -> int:
        """H, control steps; 0: there is none."""
        return self._time_limit or 0

    def start_late(self, elapsed: Tensor) -> None:
        """Let the next `reset` begin episodes whose time limits count from `elapsed` [N] int64."""
        self._late = elapsed.cpu().numpy().copy()

    def reset(self) -> Tensor:
        """Begin a new episode everywhere and return the observation [N, O]."""
        if not self._is_fresh:
            self._begin_episodes()
            with self._failures():
                self._stepper.reset()
                self._check_values()
        self._is_fresh, self._is_resumed = False, False
        if self._late is not None:
            with self._failures():
                self._stepper.set_clocks(self._late.tolist())
            self._head_start, self._late = self._late, None
        return self._tensor(self._buffers.observation)

    def step(self, action: Tensor) -> Step:
        """Apply `action` [N, A] for one control step.

        Raises:
            EnvError: naming the environment and the step, if it fails, hangs, or gives values that
                nothing can be learned from.
        """
        buffers = self._buffers
        is_valid = not self._is_resumed
        if is_valid:
            self._num_steps += 1
            self._steps_of_episode += 1
            buffers.action[:] = self._actions.to_env(action.detach().cpu().numpy())
            with self._failures():
                self._stepper.step()
                self._check_values()
        else:
            self._is_resumed = False
            for result in (buffers.reward, buffers.terminated, buffers.truncated):
                result[:] = 0
        self._return += buffers.reward
        step = Step(
            observation=self._tensor(buffers.observation),
            reward=self._tensor(buffers.reward),
            terminated=torch.from_numpy(buffers.terminated).to(self.device),
            truncated=torch.from_numpy(buffers.truncated).to(self.device),
            final_observation=self._tensor(buffers.final_observation),
            metrics=self._metrics(),
            scalars=self._scalars(),
            valid=torch.full((self.spec.num_envs,), is_valid, device=self.device),
            is_partial=torch.from_numpy(self._head_start > 0).to(self.device),
        )
        self._begin_episodes(buffers.terminated | buffers.truncated)
        return step

    def state_dict(self) -> Dict[str, Any]:
        """Return the random numbers; the episodes themselves cannot be saved.

        Where an environment has failed, they are unknown: that is no reason to lose a run.
        """
        try:
            generators = self._stepper.generators()
        except FailedError as error:
            _LOG.debug("the random numbers are unknown: %s", error)
            generators = [None] * self.spec.num_envs
        return {"generators": generators, "num_steps": self._num_steps}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Begin new episodes with the random numbers of `state`."""
        _LOG.warning("%s: an episode cannot be saved; new ones begin", self.spec.name)
        self._num_steps = int(state.get("num_steps", 0))
        self._begin_episodes()
        with self._failures():
            self._stepper.restore(state["generators"])
            self._check_values()
        self._is_resumed = True

    def draw(self, index: int, size: Size) -> np.ndarray:
        """Draw environment `index` as it is now, as `tasks.gymnasium.picture.draw`.

        `tasks.gymnasium.rendering.prepare` is needed before this is built.
        """
        assert isinstance(self._stepper, Chunk), "see prepare"
        with self._failures():
            return self._stepper.draw(index, size)

    def close(self) -> None:
        """Close the environments and end the workers."""
        self._stepper.close()

    def _metrics(self) -> Dict[str, Tensor]:
        metrics = {"fitness": self._tensor(self._return.copy())}
        if self._solved_return is not None:
            metrics["solved"] = self._tensor(self._return >= self._solved_return)
        return metrics

    def _begin_episodes(self, where: Any = slice(None)) -> None:
        """Restart the counts in some environments, or in all: their episodes are new and whole."""
        self._return[where] = 0.0
        self._steps_of_episode[where], self._head_start[where] = 0, 0

    def _scalars(self) -> Dict[str, Tensor]:
        if self._time_limit is None:
            return {}
        elapsed = torch.from_numpy(self._steps_of_episode + self._head_start).to(self.device)
        return {"clock_spread": clock_spread(elapsed, self._time_limit)}

    def _check_values(self) -> None:
        """Refuse numbers that nothing can be learned from.

        Raises:
            FailedError: naming the environment and the number.
        """
        buffers = self._buffers
        for array in (buffers.reward, buffers.final_observation, buffers.observation):
            at = find_unusable(array)
            if at is not None:
                what = "the reward" if array is buffers.reward else self._label(at[1])
                number = f"{what} is {array[at]:g}, it must be finite and at most {LARGEST:g}"
                error = FailedError(f"environment {at[0]} of {self.spec.name}: {number}", at[0])
                error.is_value = True
                raise error

    @contextmanager
    def _failures(self, kind: Type[Exception] = EnvError) -> Iterator[None]:
        """Report environments that cannot continue, in the form that the contract asks for."""
        try:
            yield
        except FailedError as error:
            moment = ""
            if error.index is not None and self._num_steps:
                of_episode = self._steps_of_episode[error.index]
                moment = f" (step {of_episode} of its episode, {self._num_steps} of the run)"
            if kind is EnvError and error.is_value:
                raise EnvError(f"{error}{moment}", self._values()) from error
            raise kind(f"{error}{moment}") from error

    def _values(self) -> Dict[str, Tensor]:
        """Return what the environments gave last, in the order in which it is looked at."""
        names = ("reward", "final_observation", "observation")
        return {name: torch.from_numpy(getattr(self._buffers, name).copy()) for name in names}

    def _tensor(self, array: np.ndarray) -> Tensor:
        """Return float32 on the device; bytes of images become floats there."""
        return torch.from_numpy(array).to(self.device).float()


def env_seeds(seed: int, num_envs: int) -> List[int]:
    """Derive one seed per environment; those of different `seed`s do not overlap as sums would.

    They are below 2^31, since many environments hand them to generators that take no more.
    """
    words = (np.random.SeedSequence([seed, i]).generate_state(1)[0] for i in range(num_envs))
    return [int(word) >> 1 for word in words]


@cache
def _distributions() -> Mapping[str, List[str]]:
    """Return what `packages_distributions` does, which reads the metadata of all packages."""
    return importlib.metadata.packages_distributions()


def versions() -> Dict[str, str]:
    """Return the versions of Gymnasium and of the simulators that were imported with it."""
    packages = _distributions()
    simulators = (name for name in _SIMULATORS if name in sys.modules)
    return {
        package: importlib.metadata.version(package)
        for module in ("gymnasium", *simulators)
        for package in packages.get(module, ())
    }
