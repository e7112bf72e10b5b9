"""MuJoCo on CPU threads: `mujoco.batch.Batch` behind the `Simulator` contract."""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

import copy
import logging
import os
from typing import Any, NamedTuple

import mujoco
import numpy as np
import torch
from mujoco.batch import Batch
from torch import Tensor

from tasks.engines.layout import Layout
from tasks.engines.memory import check_memory, mujoco_need
from tasks.engines.simulator import Worlds, check_shapes

MAX_OBJECT_SPEED_M_S = 20.0
MAX_OBJECT_SPIN_RAD_S = 100.0
"""Beyond these the state is an accident: under random actions boxes stay below 11 m/s."""

_FRESH = mujoco.mjtStage.mjSTAGE_VEL.value
"""Stages to compute after a step, so that the sensors describe the new state."""
_LOG = logging.getLogger(__name__)


class _Rows(NamedTuple):
    """Live float64 views of the batch, one row per world."""

    motion: np.ndarray
    """All of qpos, then all of qvel."""
    joint_pos: np.ndarray
    joint_vel: np.ndarray
    object_pose: np.ndarray
    object_vel: np.ndarray
    wall_pose: np.ndarray
    wall_vel: np.ndarray
    warmstart: np.ndarray
    ctrl: np.ndarray
    force: np.ndarray
    goal_pos: np.ndarray
    goal_quat: np.ndarray
    sensors: np.ndarray


class MujocoSimulator:
    """N worlds of one model on a thread pool; members as in `Simulator`.

    The state lives in float64 rows, one per world; the float32 tensors are copies, refreshed
    after every call. Results do not depend on the number of threads.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        layout: Layout,
        worlds: Worlds,
        *,
        substeps: int,
        num_threads: int = 0,
    ) -> None:
        """Allocate the worlds, all in the model's home keyframe.

        Args:
            model: compiled scene; copied, not changed.
            layout: addresses of the scene's parts.
            worlds: what differs between the N worlds.
            substeps: physics steps per control step.
            num_threads: threads that step worlds, the caller's included; 0: all granted cores.

        Raises:
            ValueError: if a tensor of `worlds` has another shape, or N worlds do not fit.
        """
        check_shapes(worlds, len(layout.joint_names))
        num_envs = len(worlds.object_half_size)
        check_memory(num_envs, mujoco_need(model, worlds), torch.device("cpu"))
        _route_warnings()
        model = copy.copy(model)
        # MuJoCo would put a diverged world silently at qpos0; `bad` reports it instead.
        model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
        self.num_envs, self.num_arms = num_envs, layout.num_arms
        self.device = torch.device("cpu")
        self.control_dt_s = substeps * model.opt.timestep
        self.versions = {"mujoco": mujoco.__version__}
        self.joint_names = layout.joint_names
        self._layout, self._substeps = layout, substeps
        self._batch = Batch(model, num_envs, num_threads or _granted_cores())
        self._set_worlds(model, worlds)
        self._rows = _bind(self._batch, layout)
        self._allocate(model)
        self._batch.reset(keyframe=layout.home_key, stage=_FRESH)
        self._read()

    def step(self) -> None:
        """Advance every world by one control step under `ctrl` and `object_force`."""
        self._write_inputs()
        self._batch.step(nstep=self._substeps, stage=_FRESH)
        self._read()

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
        ids = np.flatnonzero(mask.numpy())
        if ids.size == 0:
            return
        rows = self._rows
        rows.joint_pos[ids] = joint_pos.numpy()[ids]
        rows.joint_vel[ids] = joint_vel.numpy()[ids]
        rows.object_pose[ids] = object_pose.numpy()[ids]
        velocity = object_vel.numpy()[ids].astype(np.float64)
        # The free joint holds its angular velocity in the body frame.
        velocity[:, 3:] = _to_body_frame(rows.object_pose[ids, 3:], velocity[:, 3:])
        rows.object_vel[ids] = velocity
        rows.wall_pose[ids] = self._wall_start
        rows.wall_vel[ids] = 0.0
        rows.warmstart[ids] = 0.0
        self._write_goal()
        self._batch.forward(ids, _FRESH)
        self._read()

    def state_dict(self) -> dict[str, Any]:
        """Full physics state, warm starts included; plain types and tensors."""
        return {
            "rows": torch.from_numpy(self._batch.state.copy()),
            "ctrl": self.ctrl.clone(),
            "object_force": self.object_force.clone(),
            "goal_pose": self.goal_pose.clone(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken.

        Raises:
            ValueError: if it was taken with another number of worlds or another model.
        """
        rows, own = state["rows"], self._batch.state
        if tuple(rows.shape) != own.shape:
            raise ValueError(
                f"saved physics has shape {tuple(rows.shape)} (worlds, state size), this simulator "
                f"{own.shape}: resume with the same num_envs, task and mujoco version"
            )
        own[:] = rows.numpy()
        for name in ("ctrl", "object_force", "goal_pose"):
            getattr(self, name).copy_(state[name])
        self._write_goal()
        self._batch.forward(stage=_FRESH)
        self._read()

    def load(self) -> dict[str, Tensor]:
        """Count `contacts` [N] and constraint `rows` [N] of the present state."""
        # Counted from the first call on: what is bound is copied after every step.
        ncon, nefc = self._batch.bind("ncon"), self._batch.bind("nefc")
        self._batch.forward(stage=_FRESH)
        counts = (torch.tensor(np.array(x).reshape(self.num_envs)).long() for x in (ncon, nefc))
        return dict(zip(("contacts", "rows"), counts, strict=True))

    def world(self, index: int) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """Return one world as a model and data of its own, ready to render."""
        self._write_goal()
        model, data = self._batch.get_model(index), self._batch.get_data(index)
        mujoco.mj_forward(model, data)
        return model, data

    def close(self) -> None:
        """Free threads and memory; the tensors stay readable."""
        for name in ("_rows", "_batch"):
            self.__dict__.pop(name, None)

    def _set_worlds(self, model: mujoco.MjModel, worlds: Worlds) -> None:
        """Set the box and drives of every world; `set_const` derives the other constants."""
        layout, batch = self._layout, self._batch
        half, mass = worlds.object_half_size.double().numpy(), worlds.object_mass.double().numpy()
        size = batch.expand("geom_size")
        size[:, layout.object_geom] = half
        if layout.goal_copies_object:
            size[:, layout.goal_geom] = half
        batch.expand("body_mass")[:, layout.object_body] = mass
        batch.expand("body_inertia")[:, layout.object_body] = box_inertia(half, mass)
        if worlds.object_friction is not None:
            friction = worlds.object_friction.double().numpy()
            batch.expand("geom_friction")[:, layout.object_geom, 0] = friction
        if worlds.stiffness is not None:
            # A position drive pulls with kp ctrl - kp q - kv qdot.
            factor = worlds.stiffness.double().numpy()
            batch.expand("actuator_gainprm")[:, :, 0] *= factor
            batch.expand("actuator_biasprm")[:, :, 1] *= factor
        if worlds.damping is not None:
            batch.expand("actuator_biasprm")[:, :, 2] *= worlds.damping.double().numpy()
        batch.set_const()
        self.object_mass = worlds.object_mass.float().clone()

    def _allocate(self, model: mujoco.MjModel) -> None:
        """Create the float32 tensors; those that are read are views of two mirrors."""
        layout, num_envs = self._layout, self.num_envs
        lower, upper = np.array([model.joint(name).range for name in layout.joint_names]).T
        self.joint_lower = torch.tensor(lower, dtype=torch.float32)
        self.joint_upper = torch.tensor(upper, dtype=torch.float32)
        key = layout.home_key
        self.ctrl = torch.tensor(model.key_ctrl[key]).float().repeat(num_envs, 1)
        self.object_force = torch.zeros(num_envs, 6)
        goal = np.r_[model.key_mpos[key], model.key_mquat[key]]
        self.goal_pose = torch.tensor(goal).float().repeat(num_envs, 1)
        self.bad = torch.zeros(num_envs, dtype=torch.bool)

        self._motion_mirror = torch.zeros(self._rows.motion.shape)
        qpos, qvel = self._motion_mirror.split([model.nq, model.nv], dim=1)
        self.joint_pos, self.joint_vel = qpos[:, layout.joint_qpos], qvel[:, layout.joint_dof]
        self.wall_pose = qpos[:, layout.wall_qpos]
        self._wall_start = model.key_qpos[key][layout.wall_qpos]
        self.object_pose = qpos[:, layout.object_qpos]
        self._object_vel = qvel[:, layout.object_dof]
        self._sensor_mirror = torch.zeros(self._rows.sensors.shape)
        self.site_pos = self._site_view(layout.site_pos)
        self.site_quat = self._site_view(layout.site_quat)
        self.site_linvel = self._site_view(layout.site_linvel)
        self.site_angvel = self._site_view(layout.site_angvel)

    def _site_view(self, block: slice) -> Tensor:
        """Return one quantity of all sites, [N, S, 3 or 4], as a view of the sensors' mirror."""
        return self._sensor_mirror[:, block].unflatten(1, (self._layout.num_sites, -1))

    def _write_inputs(self) -> None:
        """Copy what the task writes and physics feels; `numpy()` follows a rebound tensor too."""
        np.copyto(self._rows.ctrl, self.ctrl.numpy())
        np.copyto(self._rows.force, self.object_force.numpy())

    def _write_goal(self) -> None:
        """Put the goals where the task wants them; between goals nothing moves them."""
        np.copyto(self._rows.goal_pos, self.goal_pose[:, :3].numpy())
        np.copyto(self._rows.goal_quat, self.goal_pose[:, 3:].numpy())

    def _read(self) -> None:
        """Refresh every float32 tensor and `bad` from the rows."""
        # Two copies, not one per member: numpy's cost is per row. numpy throughout, as torch
        # would wake its threads beside the batch's own.
        motion, spatial = self._motion_mirror.numpy(), self._object_vel.numpy()
        speed, spin = spatial[:, :3], spatial[:, 3:]
        # Overflow to inf in float32 is not finite either, hence bad.
        with np.errstate(over="ignore", invalid="ignore"):
            np.copyto(motion, self._rows.motion, casting="same_kind")
            np.copyto(self._sensor_mirror.numpy(), self._rows.sensors, casting="same_kind")
            # A sum is finite only if every term is, and NaN fails every comparison.
            good = np.isfinite(motion.sum(axis=1))
            good &= np.einsum("ni,ni->n", speed, speed) <= MAX_OBJECT_SPEED_M_S**2
            good &= np.einsum("ni,ni->n", spin, spin) <= MAX_OBJECT_SPIN_RAD_S**2
        np.logical_not(good, out=self.bad.numpy())


def _bind(batch: Batch, layout: Layout) -> _Rows:
    """Return views of the rows; they stay valid as long as the batch."""
    qpos, qvel = batch.bind("qpos"), batch.bind("qvel")
    # A row begins with the time; qpos and qvel follow.
    begin = mujoco.mj_stateSize(batch.model, mujoco.mjtState.mjSTATE_TIME)
    return _Rows(
        motion=batch.state[:, begin : begin + qpos.shape[1] + qvel.shape[1]],
        joint_pos=qpos[:, layout.joint_qpos],
        joint_vel=qvel[:, layout.joint_dof],
        object_pose=qpos[:, layout.object_qpos],
        object_vel=qvel[:, layout.object_dof],
        wall_pose=qpos[:, layout.wall_qpos],
        wall_vel=qvel[:, layout.wall_dof],
        warmstart=batch.bind("qacc_warmstart"),
        ctrl=batch.bind("ctrl"),
        force=batch.bind("xfrc_applied")[:, layout.object_body],
        goal_pos=batch.bind("mocap_pos")[:, layout.goal_mocap],
        goal_quat=batch.bind("mocap_quat")[:, layout.goal_mocap],
        sensors=batch.bind("sensordata"),
    )


def box_inertia(half: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Return the inertia [N, 3] of solid boxes, kg m^2: m/3 (hy^2 + hz^2) about x, and so on."""
    squares = half**2
    return mass[:, None] / 3 * (squares.sum(axis=1, keepdims=True) - squares)


def _to_body_frame(quat: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Turn world-frame vectors [N, 3] into the body frame of `quat` [N, 4] wxyz."""
    axis = -quat[:, 1:]
    twice = 2 * np.cross(axis, vector)
    return vector + quat[:, :1] * twice + np.cross(axis, twice)


def _granted_cores() -> int:
    """Count the cores this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _route_warnings() -> None:
    """Send MuJoCo's warnings to `logging` instead of MUJOCO_LOG.TXT, unless already routed."""
    if mujoco.get_mju_user_warning() is None:
        mujoco.set_mju_user_warning(_log_warning)


def _log_warning(message: str) -> None:
    # Diverged states are the guard's business, reported by `bad`.
    is_guarded = any(name in message for name in ("QPOS", "QVEL", "QACC"))
    _LOG.log(logging.DEBUG if is_guarded else logging.WARNING, "%s", message)
