"""What a live viewer shows of worlds of a MuJoCo model."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from epo.viewer.scene import Part, Vector
from tasks.engines import viewing
from tasks.mujoco.env import MujocoEnv

EPISODE = "new episode"


class ModelScene:
    """The shapes of a model; see `epo.viewer.scene.Scene`.

    Args:
        env: whose worlds are shown.
    """

    controls: Sequence[str] = (EPISODE,)
    can_place = False

    def __init__(self, env: MujocoEnv) -> None:
        self._env = env
        model, data = env.sim.world(0)
        self.camera = viewing.camera(model, data, env.task.camera)
        self.spacing_m = 2.5 * float(model.stat.extent)

    def parts(self, world: int) -> list[Part]:
        """Return all shapes of a world where they are now."""
        return viewing.parts(*self._env.sim.world(world))

    def act(self, control: str, world: int) -> None:
        """Begin a new episode in a world."""
        chosen = torch.zeros(self._env.spec.num_envs, dtype=torch.bool, device=self._env.device)
        chosen[world] = True
        self._env.restart(chosen)

    def handle(self, world: int) -> Vector:
        """Return the origin: nothing can be placed."""
        return 0.0, 0.0, 0.0

    def place(self, world: int, position: Vector) -> None:
        """Do nothing."""

    def terms(self, world: int) -> dict[str, float]:
        """Return the terms of the last reward."""
        return dict(zip(self._env.reward_names, self._env.terms[:, world].tolist(), strict=True))

    def close(self) -> None:
        """Do nothing: nothing is held."""
