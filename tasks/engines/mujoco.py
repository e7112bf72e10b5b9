"""MuJoCo on CPU threads: `mujoco.batch.Batch` behind the `Simulator` contract."""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

import copy
import logging
from typing import Any, NamedTuple

import mujoco
import numpy as np
import torch
from mujoco.batch import Batch
from torch import Tensor

from epo.cores import granted_cores
from tasks.engines.memory import check_memory, mujoco_need
from tasks.engines.model import Model
from tasks.engines.simulator import MAX_SPEED_M_S, MAX_SPIN_RAD_S, Fields, check_fields

_LOG = logging.getLogger(__name__)


class _Rows(NamedTuple):
    """Live float64 views of the batch, one row per world."""

    motion: np.ndarray
    """All of qpos, then all of qvel."""
    qpos: np.ndarray
    qvel: np.ndarray
    activation: np.ndarray
    warmstart: np.ndarray
    ctrl: np.ndarray
    force: np.ndarray
    mocap_pos: np.ndarray
    mocap_quat: np.ndarray
    sensors: np.ndarray


class MujocoSimulator:
    """N worlds of one model on a thread pool; members as in `Simulator`.

    The state lives in float64 rows, one per world; the float32 tensors are copies, refreshed
    after every call. Results do not depend on the number of threads.
    """

    def __init__(
        self, model: Model, num_envs: int, fields: Fields | None = None, *, num_threads: int = 0
    ) -> None:
        """Allocate the worlds, all at home.

        Args:
            model: what is simulated.
            num_envs: N.
            fields: what differs between the worlds.
            num_threads: threads that step worlds, the caller's included; 0: all granted cores.

        Raises:
            ValueError: if a field has another shape, or N worlds do not fit.
        """
        fields = fields or {}
        check_fields(model, num_envs, fields)
        check_memory(num_envs, mujoco_need(model.mj, fields), torch.device("cpu"))
        _route_warnings()
        mj = copy.copy(model.mj)
        # MuJoCo would put a diverged world silently at qpos0; `bad` reports it instead.
        mj.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
        self.model, self.num_envs = model, num_envs
        self.device = torch.device("cpu")
        self.control_dt_s = model.control_dt_s
        self.versions = {"mujoco": mujoco.__version__}
        self._stage = _stage_of_sensors(mj)
        self._batch = Batch(mj, num_envs, num_threads or granted_cores())
        for name, values in fields.items():
            self._batch.expand(name)[...] = values
        if fields:
            self._batch.set_const()  # derives the other constants
        self._rows = _bind(self._batch, model.body(*model.pushed))
        self._allocate()
        self._batch.reset(keyframe=model.key, stage=self._stage)
        self._read()

    def step(self) -> None:
        """Advance every world by one control step under `ctrl`, `force` and `mocap`."""
        self._write_inputs()
        self._batch.step(nstep=self.model.substeps, stage=self._stage)
        self._read()

    def set_state(self, mask: Tensor, qpos: Tensor, qvel: Tensor) -> None:
        """Overwrite the state of the worlds in `mask` and refresh the members that are read.

        Args:
            mask: [N] bool, worlds to change; the others keep their state bit for bit.
            qpos: [N, nq] float64 or float32.
            qvel: [N, nv] likewise.
        """
        ids = np.flatnonzero(mask.numpy())
        if ids.size == 0:
            return
        rows = self._rows
        rows.qpos[ids], rows.qvel[ids] = qpos.numpy()[ids], qvel.numpy()[ids]
        rows.activation[ids] = rows.warmstart[ids] = 0.0
        self._write_mocap()
        self._batch.forward(ids, self._stage)
        self._read()

    def state_dict(self) -> dict[str, Any]:
        """Full physics state, warm starts included; plain types and tensors."""
        return {
            "rows": torch.from_numpy(self._batch.state.copy()),
            "ctrl": self.ctrl.clone(),
            "force": self.force.clone(),
            "mocap": self.mocap.clone(),
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
        for name in ("ctrl", "force", "mocap"):
            getattr(self, name).copy_(state[name])
        self._write_mocap()
        self._batch.forward(stage=self._stage)
        self._read()

    def load(self) -> dict[str, Tensor]:
        """Count `contacts` [N] and constraint `rows` [N] of the present state."""
        # Counted from the first call on: what is bound is copied after every step.
        ncon, nefc = self._batch.bind("ncon"), self._batch.bind("nefc")
        self._batch.forward(stage=self._stage)
        counts = (torch.tensor(np.array(x).reshape(self.num_envs)).long() for x in (ncon, nefc))
        return dict(zip(("contacts", "rows"), counts, strict=True))

    def world(self, index: int) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """Return one world as a model and data of its own, ready to render."""
        self._write_mocap()
        model, data = self._batch.get_model(index), self._batch.get_data(index)
        mujoco.mj_forward(model, data)
        return model, data

    def close(self) -> None:
        """Free threads and memory; the tensors stay readable."""
        for name in ("_rows", "_batch"):
            self.__dict__.pop(name, None)

    def _allocate(self) -> None:
        """Create the float32 tensors; those that are read are views of two mirrors."""
        start, mj = self.model.start(), self.model.mj
        self.home_qpos = torch.tensor(start["qpos"])
        self.ctrl = torch.tensor(start["ctrl"]).float().repeat(self.num_envs, 1)
        self.mocap = torch.tensor(start["mocap"]).float().repeat(self.num_envs, 1, 1)
        self.force = torch.zeros(self._rows.force.shape)
        self.bad = torch.zeros(self.num_envs, dtype=torch.bool)
        self._motion = torch.zeros(self._rows.motion.shape)
        self.qpos, self.qvel = self._motion.split([mj.nq, mj.nv], dim=1)
        self.sensors = torch.zeros(self._rows.sensors.shape)
        self._watched = [self.qvel[:, self.model.dof(name)] for name in self.model.watched]

    def _write_inputs(self) -> None:
        """Copy what the task writes and physics feels; `numpy()` follows a rebound tensor too."""
        np.copyto(self._rows.ctrl, self.ctrl.numpy())
        np.copyto(self._rows.force, self.force.numpy())
        self._write_mocap()

    def _write_mocap(self) -> None:
        """Put the mocap bodies where the task wants them."""
        mocap = self.mocap.numpy()
        self._rows.mocap_pos[:] = mocap[..., :3]
        self._rows.mocap_quat[:] = mocap[..., 3:]

    def _read(self) -> None:
        """Refresh every float32 tensor and `bad` from the rows."""
        # Two copies, not one per member: numpy's cost is per row. numpy throughout, as torch
        # would wake its threads beside the batch's own.
        motion = self._motion.numpy()
        # Overflow to inf in float32 is not finite either, hence bad.
        with np.errstate(over="ignore", invalid="ignore"):
            np.copyto(motion, self._rows.motion, casting="same_kind")
            np.copyto(self.sensors.numpy(), self._rows.sensors, casting="same_kind")
            # A sum is finite only if every term is, and NaN fails every comparison.
            good = np.isfinite(motion.sum(axis=1))
            for watched in self._watched:
                speed, spin = np.split(watched.numpy(), 2, axis=1)
                good &= np.einsum("ni,ni->n", speed, speed) <= MAX_SPEED_M_S**2
                good &= np.einsum("ni,ni->n", spin, spin) <= MAX_SPIN_RAD_S**2
        np.logical_not(good, out=self.bad.numpy())


def _stage_of_sensors(mj: mujoco.MjModel) -> int:
    """Return what to compute after a step, so that all sensors describe the new state.

    Forces and touch need the accelerations; everything else comes before them.
    """
    stage = mujoco.mjtStage
    needs_acc = bool(np.any(mj.sensor_needstage == stage.mjSTAGE_ACC.value))
    return (stage.mjSTAGE_ACC if needs_acc else stage.mjSTAGE_VEL).value


def _bind(batch: Batch, pushed: slice) -> _Rows:
    """Return views of the rows; they stay valid as long as the batch."""
    qpos, qvel = batch.bind("qpos"), batch.bind("qvel")
    # A row begins with the time; qpos and qvel follow.
    begin = mujoco.mj_stateSize(batch.model, mujoco.mjtState.mjSTATE_TIME)
    return _Rows(
        motion=batch.state[:, begin : begin + qpos.shape[1] + qvel.shape[1]],
        qpos=qpos,
        qvel=qvel,
        activation=batch.bind("act"),
        warmstart=batch.bind("qacc_warmstart"),
        ctrl=batch.bind("ctrl"),
        force=batch.bind("xfrc_applied")[:, pushed],
        mocap_pos=batch.bind("mocap_pos"),
        mocap_quat=batch.bind("mocap_quat"),
        sensors=batch.bind("sensordata"),
    )


def _route_warnings() -> None:
    """Send MuJoCo's warnings to `logging` instead of MUJOCO_LOG.TXT, unless already routed."""
    if mujoco.get_mju_user_warning() is None:
        mujoco.set_mju_user_warning(_log_warning)


def _log_warning(message: str) -> None:
    # Diverged states are the guard's business, reported by `bad`.
    is_guarded = any(name in message for name in ("QPOS", "QVEL", "QACC"))
    _LOG.log(logging.DEBUG if is_guarded else logging.WARNING, "%s", message)
