"""MuJoCo Warp behind the `Simulator` contract: all worlds on the GPU, without copies."""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

import copy
from typing import Any

import mujoco
import mujoco_warp as mjw
import numpy as np
import torch
import warp as wp
from torch import Tensor

from tasks.engines import warp_setup
from tasks.engines.capacity import capacity
from tasks.engines.config import MujocoWarpCfg
from tasks.engines.layout import Layout
from tasks.engines.memory import check_memory, mujoco_warp_need
from tasks.engines.simulator import Worlds, check_shapes
from tasks.engines.warp_counters import Counters
from tasks.engines.warp_graph import Replay, torch_stream
from tasks.engines.warp_kernels import addresses, judge, overwrite
from tasks.engines.warp_worlds import make_worlds

_NO_SENSORS = int(mjw.DisableBit.SENSOR)


class MujocoWarpSimulator:
    """N worlds of one model on a CUDA device; members as in `Simulator`.

    The tensors are views of the physics' own float32 arrays. A control step is one graph, a
    reset one kernel and a second graph; neither waits for the device. `device=cpu` runs the
    same kernels on one core, for tests.

    Attributes:
        counters: what went wrong since the start.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        layout: Layout,
        worlds: Worlds,
        cfg: MujocoWarpCfg,
        device: torch.device,
        *,
        substeps: int,
    ) -> None:
        """Allocate the worlds, all in the model's home keyframe.

        Args:
            model: compiled scene; copied, not changed.
            layout: addresses of the scene's parts.
            worlds: what differs between the N worlds.
            cfg: settings of the engine.
            device: where the tensors live.
            substeps: physics steps per control step.

        Raises:
            ValueError: if a tensor of `worlds` has another shape, or N worlds do not fit.
        """
        check_shapes(worlds, len(layout.joint_names))
        self.num_envs, self.num_arms = len(worlds.object_half_size), layout.num_arms
        self.control_dt_s = substeps * model.opt.timestep
        self.versions = {
            "mujoco": mujoco.__version__,
            "mujoco_warp": mjw.__version__,
            "warp": wp.__version__,
        }
        self.joint_names = layout.joint_names
        self._layout, self._substeps, self._host_model = layout, substeps, copy.copy(model)
        if cfg.solver_iterations:
            option = self._host_model.opt
            option.iterations = min(option.iterations, cfg.solver_iterations)
        self._warp_device = warp_setup.start(device, cfg.kernel_cache)
        self.device = torch.device(wp.device_to_torch(self._warp_device))
        room = capacity(layout, cfg)
        check_memory(self.num_envs, mujoco_warp_need(model, worlds, room), self.device)
        with wp.ScopedDevice(self._warp_device):
            self._model, self._data, self._fields = make_worlds(
                self._host_model, layout, worlds, room
            )
        self.object_mass = worlds.object_mass.to(self.device, torch.float32, copy=True)
        self.counters = Counters(room, self.device)
        self._bind()
        self._capture(cfg.graph)

    def step(self) -> None:
        """Advance every world by one control step under `ctrl` and `object_force`."""
        self._advance()
        self.counters.poll()

    def set_state(
        self,
        mask: Tensor,
        joint_pos: Tensor,
        joint_vel: Tensor,
        object_pose: Tensor,
        object_vel: Tensor,
    ) -> None:
        """Overwrite the state of the worlds in `mask` and refresh the read members.

        Args:
            mask: [N] bool, worlds to change; the others keep their state bit for bit.
            joint_pos: [N, 23 A] rad.
            joint_vel: [N, 23 A] rad/s.
            object_pose: [N, 7] m, wxyz.
            object_vel: [N, 6] linear m/s and angular rad/s, world frame.
        """
        given = (joint_pos, joint_vel, object_pose, object_vel)
        data = self._data
        wp.launch(
            overwrite,
            dim=self.num_envs,
            inputs=[
                self._addresses,
                wp.from_torch(mask, wp.bool, return_ctype=True),
                *(wp.from_torch(value, wp.float32, return_ctype=True) for value in given),
                self._wall_start,
            ],
            outputs=[data.qpos, data.qvel, data.qacc_warmstart],
            device=self._warp_device,
            stream=torch_stream(self._warp_device),
        )
        self._refresh()

    def state_dict(self) -> dict[str, Tensor]:
        """Full physics state, warm starts included, on the device."""
        return {name: value.clone() for name, value in self._state.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken.

        Raises:
            ValueError: if it was taken with another number of worlds, model or engine.
        """
        for name, own in self._state.items():
            shape = tuple(state[name].shape) if name in state else "nothing"
            if shape != tuple(own.shape):
                raise ValueError(
                    f"saved physics has {shape} as {name}, this simulator {tuple(own.shape)}: "
                    "resume with the same num_envs, task and engine"
                )
        for name, own in self._state.items():
            own.copy_(state[name])
        self._refresh()

    def load(self) -> dict[str, Tensor]:
        """Count `contacts` [N] and constraint `rows` [N] of the last step; waits for the device."""
        data = self._data
        num = min(int(wp.to_torch(data.nacon)[0]), data.naconmax)
        worlds = wp.to_torch(data.contact.worldid)[:num].long()
        rows = wp.to_torch(data.nefc).clone()
        return {"contacts": torch.bincount(worlds, minlength=self.num_envs), "rows": rows}

    def world(self, index: int) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """Return one world as its own model and data, ready to render; waits for the device."""
        model = copy.copy(self._host_model)
        for name, value in self._fields.items():
            field = getattr(model, name)
            field[:] = value[index].cpu().numpy().reshape(field.shape)
        data = mujoco.MjData(model)
        state = {name: value[index].cpu().numpy() for name, value in self._state.items()}
        for name in ("qpos", "qvel", "qacc_warmstart", "ctrl"):
            getattr(data, name)[:] = state[name]
        data.xfrc_applied[self._layout.object_body] = state["object_force"]
        goal = self._layout.goal_mocap
        data.mocap_pos[goal], data.mocap_quat[goal] = np.split(state["goal_pose"], [3])
        mujoco.mj_forward(model, data)
        return model, data

    def close(self) -> None:
        """Report overflows and free device memory; the tensors stay readable."""
        if hasattr(self, "_data"):
            self.counters.read()
        for name in ("_advance", "_refresh", "_model", "_data"):
            self.__dict__.pop(name, None)

    def _bind(self) -> None:
        """Name the parts of the physics' arrays; only limits and guard are tensors of our own."""
        layout, data, model = self._layout, self._data, self._host_model
        limits = np.array([model.joint(name).range for name in layout.joint_names])
        self.joint_lower, self.joint_upper = self._tensor(limits.T)
        # The task writes a goal as one tensor; the physics gets both of its parts.
        goals = self._tensor(np.zeros((self.num_envs, model.nmocap, 7)))
        data.mocap_pos = wp.from_torch(goals[..., :3], dtype=wp.vec3)
        data.mocap_quat = wp.from_torch(goals[..., 3:], dtype=wp.quat)
        qpos, qvel = wp.to_torch(data.qpos), wp.to_torch(data.qvel)
        self.goal_pose, self.ctrl = goals[:, layout.goal_mocap], wp.to_torch(data.ctrl)
        self.object_force = wp.to_torch(data.xfrc_applied)[:, layout.object_body]
        self.joint_pos, self.joint_vel = qpos[:, layout.joint_qpos], qvel[:, layout.joint_dof]
        self.object_pose, self.wall_pose = qpos[:, layout.object_qpos], qpos[:, layout.wall_qpos]
        self.site_pos = self._site_view(layout.site_pos)
        self.site_quat = self._site_view(layout.site_quat)
        self.site_linvel = self._site_view(layout.site_linvel)
        self.site_angvel = self._site_view(layout.site_angvel)
        self.bad = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        self._state = {
            "qpos": qpos,
            "qvel": qvel,
            "qacc_warmstart": wp.to_torch(data.qacc_warmstart),
            "ctrl": self.ctrl,
            "object_force": self.object_force,
            "goal_pose": self.goal_pose,
        }
        wall_start = self._tensor(model.key_qpos[layout.home_key][layout.wall_qpos])
        self._wall_start, self._addresses = wp.from_torch(wall_start), addresses(layout)

    def _site_view(self, block: slice) -> Tensor:
        """Return one quantity of all sites, [N, S, 3 or 4]."""
        sensors = wp.to_torch(self._data.sensordata)
        return sensors[:, block].unflatten(1, (self._layout.num_sites, -1))

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device)

    def _capture(self, use_graph: bool) -> None:
        """Compile all kernels, go home and capture what `step` and `set_state` replay."""
        device = self._warp_device
        self._go_home()
        wp.synchronize_device(device)
        with wp.ScopedDevice(device):
            self._run_step()
        wp.synchronize_device(device)
        self._go_home()
        self.counters.totals.zero_()
        wp.synchronize_device(device)
        self._advance = Replay(self._run_step, device, use_graph)
        self._refresh = Replay(self._run_refresh, device, use_graph)
        self._refresh()

    def _go_home(self) -> None:
        """Put robots and objects at the home keyframe, at rest."""
        model, key = self._host_model, self._layout.home_key
        goal = np.r_[model.key_mpos[key], model.key_mquat[key]]
        home = {"qpos": model.key_qpos[key], "ctrl": model.key_ctrl[key], "goal_pose": goal}
        for name, value in self._state.items():
            value.copy_(self._tensor(home.get(name, np.zeros(1))))

    def _run_step(self) -> None:
        """Launch all of a control step; sensors are for its end only."""
        option = self._model.opt
        option.disableflags |= _NO_SENSORS
        for _ in range(self._substeps):
            mjw.step(self._model, self._data)
        option.disableflags &= ~_NO_SENSORS
        self._run_light(is_step=True)

    def _run_refresh(self) -> None:
        self._run_light(is_step=False)

    def _run_light(self, is_step: bool) -> None:
        """Launch what the read members need of a state: kinematics, velocities, sensors, guard."""
        model, data = self._model, self._data
        for stage in (mjw.kinematics, mjw.com_pos, mjw.com_vel, mjw.sensor_pos, mjw.sensor_vel):
            stage(model, data)
        wp.launch(
            judge,
            dim=self.num_envs,
            inputs=[self._layout.object_dof.start, is_step, data.qpos, data.qvel],
            outputs=[data.overflow, wp.from_torch(self.bad), wp.from_torch(self.counters.totals)],
        )
