"""Robots and an object in the worlds of an engine: the tasks' `Simulator` over the engines' own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tasks.allegro_kuka.geometry import rotate
from tasks.allegro_kuka.layout import Layout
from tasks.allegro_kuka.worlds import Worlds, model_fields
from tasks.engines.build import make_simulator
from tasks.engines.model import Model


class RobotWorlds:
    """N worlds of a scene on an engine; members as in `Simulator`, views of the engine's own.

    Args:
        model: the compiled scene.
        layout: where its parts are.
        worlds: what differs between the N worlds.
        engine_cfg: checked, its engine chosen.
        device: where all tensors live.

    Attributes:
        sim: the engine's simulator.

    Raises:
        ValueError: if a tensor of `worlds` has another shape, or N worlds do not fit.
    """

    def __init__(
        self, model: Model, layout: Layout, worlds: Worlds, engine_cfg: Any, device: torch.device
    ) -> None:
        fields, num_envs = model_fields(model.mj, layout, worlds), len(worlds.object_half_size)
        sim = make_simulator(model, engine_cfg, num_envs, device, fields)
        self.sim, self.layout = sim, layout
        self.num_envs, self.num_arms, self.device = num_envs, layout.num_arms, sim.device
        self.control_dt_s, self.versions = sim.control_dt_s, sim.versions
        self.joint_names = layout.joint_names
        lower, upper = model.limits(*layout.joint_names)
        self.joint_lower = torch.tensor(lower, dtype=torch.float32, device=self.device)
        self.joint_upper = torch.tensor(upper, dtype=torch.float32, device=self.device)
        self.object_mass = worlds.object_mass.to(self.device, torch.float32, copy=True)
        self.joint_pos, self.joint_vel = (
            sim.qpos[:, layout.joint_qpos],
            sim.qvel[:, layout.joint_dof],
        )
        self.object_pose, self.wall_pose = (
            sim.qpos[:, layout.object_qpos],
            sim.qpos[:, layout.wall_qpos],
        )
        self.site_pos, self.site_quat = self._sites(layout.site_pos), self._sites(layout.site_quat)
        self.site_linvel = self._sites(layout.site_linvel)
        self.site_angvel = self._sites(layout.site_angvel)
        self.ctrl, self.bad = sim.ctrl, sim.bad
        self.object_force, self.goal_pose = sim.force[:, 0], sim.mocap[:, layout.goal_mocap]
        # What a reset does not write: a movable wall where it starts, at rest.
        self._qpos = sim.home_qpos.repeat(num_envs, 1)
        self._qvel = torch.zeros(sim.qvel.shape, dtype=self._qpos.dtype, device=self.device)

    def step(self) -> None:
        """Advance every world by one control step under `ctrl` and `object_force`."""
        self.sim.step()

    def set_state(
        self,
        mask: Tensor,
        joint_pos: Tensor,
        joint_vel: Tensor,
        object_pose: Tensor,
        object_vel: Tensor | None = None,
    ) -> None:
        """Overwrite the state of the worlds in `mask`; as in `Simulator`."""
        layout, qpos, qvel = self.layout, self._qpos, self._qvel
        qpos[:, layout.joint_qpos], qvel[:, layout.joint_dof] = joint_pos, joint_vel
        qpos[:, layout.object_qpos] = object_pose
        speed = qvel[:, layout.object_dof]
        if object_vel is None:
            speed.zero_()
        else:
            speed.copy_(object_vel)
            # The free joint holds its angular velocity in the body frame.
            quat = qpos[:, layout.object_qpos][:, 3:].T.clone()
            quat[1:] *= -1.0
            speed[:, 3:] = rotate(quat, speed[:, 3:].T).T
        self.sim.set_state(mask, qpos, qvel)

    def state_dict(self) -> dict[str, Any]:
        """Full physics state, warm starts included; plain types and tensors."""
        return self.sim.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self.sim.load_state_dict(state)

    def load(self) -> dict[str, Tensor]:
        """Count `contacts` [N] and constraint `rows` [N]."""
        return self.sim.load()

    @property
    def counters(self) -> Any:
        """Return what went wrong on a GPU since the start; None on the CPU engine."""
        return getattr(self.sim, "counters", None)

    def world(self, index: int) -> tuple[Any, Any]:
        """Return one world as a MuJoCo model and data of its own, ready to render."""
        return self.sim.world(index)

    def close(self) -> None:
        """Free threads and device memory; the tensors stay readable."""
        self.sim.close()

    def _sites(self, block: slice) -> Tensor:
        """Return one quantity of all sites, [N, S, 3 or 4]."""
        return self.sim.sensors[:, block].unflatten(1, (self.layout.num_sites, -1))
