"""Gymnasium environments behind the `VecEnv` contract."""

from __future__ import annotations

import importlib.metadata
import logging
import sys
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional, Type

import numpy as np
import torch
from torch import Tensor

from epo.envs import EnvError, EnvSpec, Step
from tasks.clock import clock_spread
from tasks.errors import refuse
from tasks.gymnasium.buffers import Layout
from tasks.gymnasium.chunk import Chunk, FailedError
from tasks.gymnasium.config import GymnasiumCfg
from tasks.gymnasium.environments import control_dt_s, episode_length, make_env
from tasks.gymnasium.lookup import find_spec
from tasks.gymnasium.picture import Size
from tasks.gymnasium.spaces import Actions, Observations
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
        sample = make_env(cfg)
        observations = Observations(cfg.env_id, sample.observation_space)
        self._actions = actions = Actions(cfg.env_id, sample.action_space)
        num_workers = choose_workers(cfg, num_envs, sample)
        self.device = device
        self.spec = EnvSpec(
            name=cfg.env_id,
            engine=f"gymnasium ({num_workers} workers)" if num_workers else "gymnasium",
            num_envs=num_envs,
            observation_dim=observations.dim,
            action_dim=actions.dim,
            control_dt_s=control_dt_s(sample, cfg.frame_skip),
            versions=versions(),
            num_choices=actions.num_choices,
            image_shape=observations.image_shape,
            has_invalid_steps=True,
        )
        sample.close()
        layout = Layout(num_envs, actions.dim, actions.dtype, observations.dim, observations.dtype)
        memory = layout.allocate()
        self._buffers = layout.view(memory)
        with _failures(ValueError):
            self._stepper = make_stepper(cfg, layout, memory, num_workers)
            self._stepper.reset(env_seeds(seed, num_envs))
        threshold = find_spec(cfg.env_id).reward_threshold
        self._solved_return = threshold if cfg.solved_return is None else cfg.solved_return
        self._return = np.zeros(num_envs)
        self._time_limit = episode_length(cfg)
        self._elapsed = np.zeros(num_envs, dtype=np.int64)
        self._is_partial = np.zeros(num_envs, dtype=bool)
        self._late: Optional[np.ndarray] = None
        self._is_fresh, self._is_resumed = True, False

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
            with _failures():
                self._stepper.reset()
        self._is_fresh, self._is_resumed = False, False
        self._begin_whole()
        if self._late is not None:
            with _failures():
                self._stepper.set_clocks(self._late.tolist())
            self._elapsed, self._is_partial, self._late = self._late, self._late > 0, None
        return self._tensor(self._buffers.observation)

    def step(self, action: Tensor) -> Step:
        """Apply `action` [N, A] for one control step."""
        buffers = self._buffers
        is_valid = not self._is_resumed
        if is_valid:
            buffers.action[:] = self._actions.to_env(action.detach().cpu().numpy())
            with _failures():
                self._stepper.step()
        else:
            self._is_resumed = False
            for result in (buffers.reward, buffers.terminated, buffers.truncated):
                result[:] = 0
        self._return += buffers.reward
        self._elapsed += is_valid
        step = Step(
            observation=self._tensor(buffers.observation),
            reward=self._tensor(buffers.reward),
            terminated=torch.from_numpy(buffers.terminated).to(self.device),
            truncated=torch.from_numpy(buffers.truncated).to(self.device),
            final_observation=self._tensor(buffers.final_observation),
            metrics=self._metrics(),
            scalars=self._scalars(),
            valid=torch.full((self.spec.num_envs,), is_valid, device=self.device),
            is_partial=torch.from_numpy(self._is_partial.copy()).to(self.device),
        )
        done = buffers.terminated | buffers.truncated
        self._return[done], self._elapsed[done], self._is_partial[done] = 0.0, 0, False
        return step

    def state_dict(self) -> Dict[str, Any]:
        """Give the random numbers; the episodes themselves cannot be saved."""
        with _failures():
            return {"generators": self._stepper.generators()}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Begin new episodes with the random numbers of `state`."""
        _LOG.warning("%s: an episode cannot be saved; new ones begin", self.spec.name)
        with _failures():
            self._stepper.restore(state["generators"])
        self._begin_whole()
        self._is_resumed = True

    def draw(self, index: int, size: Size) -> np.ndarray:
        """Draw environment `index` as it is now, as `tasks.gymnasium.picture.draw`.

        `tasks.gymnasium.rendering.prepare` is needed before this is built.
        """
        assert isinstance(self._stepper, Chunk), "see prepare"
        with _failures():
            return self._stepper.draw(index, size)

    def close(self) -> None:
        """Close the environments and end the workers."""
        self._stepper.close()

    def _begin_whole(self) -> None:
        """Count from nothing: all episodes are new, and whole."""
        self._return[:], self._elapsed[:], self._is_partial[:] = 0.0, 0, False

    def _scalars(self) -> Dict[str, Tensor]:
        if self._time_limit is None:
            return {}
        elapsed = torch.from_numpy(self._elapsed).to(self.device)
        return {"clock_spread": clock_spread(elapsed, self._time_limit)}

    def _metrics(self) -> Dict[str, Tensor]:
        metrics = {"fitness": self._tensor(self._return.copy())}
        if self._solved_return is not None:
            metrics["solved"] = self._tensor(self._return >= self._solved_return)
        return metrics

    def _tensor(self, array: np.ndarray) -> Tensor:
        """Give float32 on the device; bytes of images become floats there."""
        return torch.from_numpy(array).to(self.device).float()


def env_seeds(seed: int, num_envs: int) -> List[int]:
    """Derive one seed per environment; those of different `seed`s do not overlap as sums would."""
    return [int(np.random.SeedSequence([seed, i]).generate_state(1)[0]) for i in range(num_envs)]


def versions() -> Dict[str, str]:
    """Give the versions of Gymnasium and of the simulators that were imported with it."""
    packages = importlib.metadata.packages_distributions()
    simulators = (name for name in _SIMULATORS if name in sys.modules)
    return {
        package: importlib.metadata.version(package)
        for module in ("gymnasium", *simulators)
        for package in packages.get(module, ())
    }


@contextmanager
def _failures(kind: Type[Exception] = EnvError) -> Iterator[None]:
    """Report environments that cannot go on as the contract has it: before a run, or in it."""
    try:
        yield
    except FailedError as error:
        raise kind(str(error)) from error
