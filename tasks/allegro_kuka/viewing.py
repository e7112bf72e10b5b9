"""What a live viewer shows of Allegro-Kuka worlds, and what it may do to them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import torch

from epo.viewer.scene import Camera, Part, Vector
from tasks.allegro_kuka.geometry import rotate
from tasks.allegro_kuka.rendering import CAMERA
from tasks.allegro_kuka.task import AllegroKuka
from tasks.errors import refuse

PUSH_N_PER_KG = 20.0
"""Force of a push; it fades as the task's own forces do."""
SPACING_M = 2.5
PUSH, GOAL, EPISODE = "push the object", "new goal", "new episode"


class AllegroKukaScene:
    """Robot, object, goal and table; see `epo.viewer.scene.Scene`.

    Args:
        env: on an engine that keeps worlds to draw.

    Raises:
        ValueError: if it keeps none.
    """

    controls: Sequence[str] = (PUSH, GOAL, EPISODE)
    can_place = True
    spacing_m = SPACING_M

    def __init__(self, env: AllegroKuka) -> None:
        from tasks.engines import viewing

        self._env, self._viewing = env, viewing
        world = getattr(env.sim, "world", None)
        if world is None:
            refuse("engine", env.spec.engine, "its worlds cannot be viewed; use engine=mujoco")
        self._world = world
        model, data = world(0)
        self.camera: Camera = viewing.camera(model, data, CAMERA)

    def parts(self, world: int) -> list[Part]:
        """Return every shape of a world."""
        return self._viewing.parts(*self._world(world))

    def act(self, control: str, world: int) -> None:
        """Push the object sideways, or begin a new goal or episode."""
        env, chosen = self._env, self._only(world)
        if control == PUSH:
            angle = random.uniform(0.0, 2.0 * math.pi)
            direction = torch.tensor([math.cos(angle), math.sin(angle), 0.5], device=env.device)
            force = direction * PUSH_N_PER_KG * env.sim.object_mass[world]
            # The task's forces turn with the object: from the world's frame into its own.
            quat = env.sim.object_pose[world, 3:] * torch.tensor(
                [1.0, -1.0, -1.0, -1.0], device=env.device
            )
            env.force = env.force.clone()
            env.force[world] = rotate(quat[:, None], force[:, None])[:, 0]
        else:
            nothing = torch.zeros_like(chosen)
            ended = chosen if control == EPISODE else nothing
            env.restart(slice(None), ended, nothing if control == EPISODE else chosen)

    def handle(self, world: int) -> Vector:
        """Return where the object is."""
        x, y, z = self._env.sim.object_pose[world, :3].tolist()
        return x, y, z

    def place(self, world: int, position: Vector) -> None:
        """Put the object at rest somewhere else; the robot stays as it is."""
        sim = self._env.sim
        pose = sim.object_pose.clone()
        pose[world, :3] = torch.tensor(position, device=pose.device)
        sim.set_state(self._only(world), sim.joint_pos.clone(), sim.joint_vel.clone(), pose)

    def terms(self, world: int) -> dict[str, float]:
        """Return the terms of the last reward."""
        return dict(zip(self._env.reward_names, self._env.terms[:, world].tolist(), strict=True))

    def close(self) -> None:
        """Do nothing: nothing is held."""

    def _only(self, world: int) -> torch.Tensor:
        chosen = torch.zeros(self._env.spec.num_envs, dtype=torch.bool, device=self._env.device)
        chosen[world] = True
        return chosen
