"""Environments that cost nothing, so that what is timed is the learner alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict

import torch
from torch import Tensor

from epo.envs import EnvSpec, Step

RING = 4096
"""Control steps until everything repeats."""
NUM_SCALARS = 2
"""Numbers of the whole task, without the means of the reward's terms, as in Allegro-Kuka."""
ENGINE = "synthetic"


class SyntheticEnv:
    """Random numbers drawn once; every step shows another window of the same tensors.

    At step t, environment i sees row i + t of [N + RING] rows: no step computes or allocates
    anything of size N, and the memory is that of a single observation and the ring.

    Args:
        spec: of the task that it stands for; observations, actions and N are as there.
        device: where all tensors live.
        seed: of the random numbers.
        done_probability: that an episode ends at a step; half of them by truncation.
    """

    def __init__(
        self, spec: EnvSpec, device: torch.device, seed: int, done_probability: float
    ) -> None:
        self.spec = replace(spec, engine=ENGINE, versions={}, has_invalid_steps=False)
        self.device = device
        rows = spec.num_envs + RING
        generator = torch.Generator(device).manual_seed(seed)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, device=device)

        scale = 1.0 if spec.image_shape is None else 255.0
        self._observation = scale * uniform(rows, spec.observation_dim)
        self._reward = uniform(rows)
        is_done, is_cut = uniform(rows) < done_probability, uniform(rows) < 0.5
        self._terminated, self._truncated = is_done & ~is_cut, is_done & is_cut
        names = (*spec.metrics, spec.objective, "fitness")
        objectives = ("fitness", spec.objective)  # selection may go by them: agents differ here
        self._metrics = {name: uniform(rows) for name in names if name not in objectives}
        rank = torch.linspace(0.0, 10.0, spec.num_envs, device=device)
        self._objectives = dict.fromkeys(objectives, rank)
        self._scalars = {f"scalar_{i}": torch.zeros((), device=device) for i in range(NUM_SCALARS)}
        self._t = 0

    def reset(self) -> Tensor:
        """Begin at the first window and return the observation [N, O]."""
        self._t = 0
        return self._window(self._observation)

    def step(self, action: Tensor) -> Step:
        """Move the windows on by one row; the action [N, A] changes nothing."""
        self._t = (self._t + 1) % RING
        observation = self._window(self._observation)
        return Step(
            observation=observation,
            reward=self._window(self._reward),
            terminated=self._window(self._terminated),
            truncated=self._window(self._truncated),
            final_observation=observation,
            metrics={
                **self._objectives,
                **{name: self._window(value) for name, value in self._metrics.items()},
            },
            scalars=self._scalars,
        )

    def state_dict(self) -> Dict[str, Any]:
        """Where the windows are."""
        return {"t": self._t}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self._t = int(state["t"])

    def close(self) -> None:
        """Nothing to free."""

    def _window(self, rows: Tensor) -> Tensor:
        return rows[self._t : self._t + self.spec.num_envs]
