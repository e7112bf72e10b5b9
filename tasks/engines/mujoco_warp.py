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
from tasks.engines.config import MujocoWarpCfg
from tasks.engines.memory import check_memory, mujoco_warp_need
from tasks.engines.model import Model
from tasks.engines.simulator import Fields, check_fields
from tasks.engines.warp_counters import Counters
from tasks.engines.warp_graph import Replay, torch_stream
from tasks.engines.warp_kernels import judge, overwrite
from tasks.engines.warp_worlds import make_worlds

_NO_SENSORS = int(mjw.DisableBit.SENSOR)
_LIGHT = (mjw.kinematics, mjw.com_pos, mjw.com_vel, mjw.sensor_pos, mjw.sensor_vel)
"""Stages after which kinematic sensors describe a state."""
_KINEMATIC = {
    getattr(mujoco.mjtSensor, f"mjSENS_{name}").value
    for name in (
        *("JOINTPOS", "JOINTVEL", "BALLQUAT", "BALLANGVEL", "FRAMEPOS", "FRAMEQUAT", "FRAMEXAXIS"),
        *("FRAMEYAXIS", "FRAMEZAXIS", "FRAMELINVEL", "FRAMEANGVEL", "VELOCIMETER", "GYRO"),
    )
}
"""Types of sensors that need no other stage."""


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
        model: Model,
        num_envs: int,
        fields: Fields | None,
        cfg: MujocoWarpCfg,
        device: torch.device,
    ) -> None:
        """Allocate the worlds, all at home.

        Args:
            model: what is simulated.
            num_envs: N.
            fields: what differs between the worlds; None: nothing.
            cfg: settings of the engine.
            device: where the tensors live.

        Raises:
            ValueError: if a field has another shape, or N worlds do not fit.
        """
        fields = fields or {}
        check_fields(model, num_envs, fields)
        self.model, self.num_envs = model, num_envs
        self.control_dt_s = model.control_dt_s
        self.versions = {
            "mujoco": mujoco.__version__,
            "mujoco_warp": mjw.__version__,
            "warp": wp.__version__,
        }
        self._mj = copy.copy(model.mj)
        if cfg.solver_iterations:
            self._mj.opt.iterations = min(self._mj.opt.iterations, cfg.solver_iterations)
        self._warp_device = warp_setup.start(device, cfg.kernel_cache)
        self.device = torch.device(wp.device_to_torch(self._warp_device))
        room = model.capacity.chosen(cfg)
        check_memory(num_envs, mujoco_warp_need(model.mj, fields, room), self.device)
        with wp.ScopedDevice(self._warp_device):
            self._model, self._data, self._fields = make_worlds(self._mj, num_envs, fields, room)
        self.counters = Counters(room, self.device)
        self._needs_all = needs_dynamics(self._mj)
        self._bind()
        self._capture(cfg.graph)

    def step(self) -> None:
        """Advance every world by one control step under `ctrl`, `force` and `mocap`."""
        self._advance()
        self.counters.poll()

    def set_state(self, mask: Tensor, qpos: Tensor, qvel: Tensor) -> None:
        """Overwrite the state of the worlds in `mask` and refresh the members that are read.

        Args:
            mask: [N] bool, worlds to change; the others keep their state bit for bit.
            qpos: [N, nq] float32.
            qvel: [N, nv] float32.
        """
        data = self._data
        wp.launch(
            overwrite,
            dim=self.num_envs,
            inputs=[
                wp.from_torch(mask, wp.bool, return_ctype=True),
                *(wp.from_torch(value, wp.float32, return_ctype=True) for value in (qpos, qvel)),
            ],
            outputs=[data.qpos, data.qvel, data.qacc_warmstart, data.act],
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
        model = copy.copy(self._mj)
        for name, value in self._fields.items():
            field = getattr(model, name)
            field[:] = value[index].cpu().numpy().reshape(field.shape)
        data = mujoco.MjData(model)
        state = {name: value[index].cpu().numpy() for name, value in self._state.items()}
        data.mocap_pos[:], data.mocap_quat[:] = np.split(state.pop("mocap"), [3], axis=1)
        data.xfrc_applied[self.model.body(*self.model.pushed)] = state.pop("force")
        for name, value in state.items():
            getattr(data, name)[:] = value
        mujoco.mj_forward(model, data)
        return model, data

    def close(self) -> None:
        """Report overflows and free device memory; the tensors stay readable."""
        if hasattr(self, "_data"):
            self.counters.read()
        for name in ("_advance", "_refresh", "_model", "_data"):
            self.__dict__.pop(name, None)

    def _bind(self) -> None:
        """Name the parts of the physics' arrays; only the guard is a tensor of our own."""
        data, model = self._data, self.model
        # The task writes a pose as one tensor; the physics gets both of its parts.
        self.mocap = self._tensor(np.zeros((self.num_envs, self._mj.nmocap, 7)))
        if self._mj.nmocap:
            data.mocap_pos = wp.from_torch(self.mocap[..., :3], dtype=wp.vec3)
            data.mocap_quat = wp.from_torch(self.mocap[..., 3:], dtype=wp.quat)
        self.qpos, self.qvel = wp.to_torch(data.qpos), wp.to_torch(data.qvel)
        self.sensors, self.ctrl = wp.to_torch(data.sensordata), wp.to_torch(data.ctrl)
        self.force = wp.to_torch(data.xfrc_applied)[:, model.body(*model.pushed)]
        self.home_qpos = self._tensor(model.start()["qpos"])
        self.bad = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        self._state = {
            "qpos": self.qpos,
            "qvel": self.qvel,
            "qacc_warmstart": wp.to_torch(data.qacc_warmstart),
            "ctrl": self.ctrl,
            "force": self.force,
            "mocap": self.mocap,
        }
        if self._mj.na:
            self._state["act"] = wp.to_torch(data.act)
        watched = [model.dof(name).start for name in model.watched]
        self._watched = wp.array(watched, dtype=int, device=self._warp_device)

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
        """Put everything where the model begins."""
        home = self.model.start()
        for name, value in self._state.items():
            value.copy_(self._tensor(home.get(name, np.zeros(1))))

    def _run_step(self) -> None:
        """Launch all of a control step; sensors are for its end only."""
        option = self._model.opt
        option.disableflags |= _NO_SENSORS
        for _ in range(self.model.substeps):
            mjw.step(self._model, self._data)
        option.disableflags &= ~_NO_SENSORS
        self._run_light(is_step=True)

    def _run_refresh(self) -> None:
        self._run_light(is_step=False)

    def _run_light(self, is_step: bool) -> None:
        """Launch what the read members need of a state: kinematics, velocities, sensors, guard."""
        model, data = self._model, self._data
        for stage in (mjw.forward,) if self._needs_all else _LIGHT:
            stage(model, data)
        wp.launch(
            judge,
            dim=self.num_envs,
            inputs=[self._watched, is_step, data.qpos, data.qvel],
            outputs=[data.overflow, wp.from_torch(self.bad), wp.from_torch(self.counters.totals)],
        )


def needs_dynamics(mj: mujoco.MjModel) -> bool:
    """Tell whether a sensor needs more than kinematics and velocities, as touch does."""
    return not {int(kind) for kind in mj.sensor_type} <= _KINEMATIC
