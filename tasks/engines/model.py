"""A compiled MuJoCo model, and where its named parts are in the arrays of a simulator."""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from tasks.engines.capacity import Capacity, estimate
from tasks.errors import check_choice

_WIDTHS = {0: (7, 6), 1: (4, 3), 2: (1, 1), 3: (1, 1)}
"""Type of joint (free, ball, slide, hinge) -> its numbers in qpos and qvel."""
FRAME_SENSORS = {
    "pos": mujoco.mjtSensor.mjSENS_FRAMEPOS,
    "quat": mujoco.mjtSensor.mjSENS_FRAMEQUAT,
    "linvel": mujoco.mjtSensor.mjSENS_FRAMELINVEL,
    "angvel": mujoco.mjtSensor.mjSENS_FRAMEANGVEL,
}
"""What a site or a body can be asked for, world frame: m, wxyz, m/s, rad/s."""


@dataclass(frozen=True)
class Model:
    """What an engine simulates; engines copy it.

    Parts are asked for by name, several at once if they follow each other in the model: the answer
    is a slice, so that `sim.qpos[:, model.qpos("shoulder", "elbow")]` is a view.

    Attributes:
        mj: the compiled model.
        substeps: physics steps per control step.
        home: keyframe that worlds begin in; None: the model's own start.
        pushed: bodies whose external force the task writes; they follow each other in the model.
        watched: free joints whose bodies make a world bad if they fly away.
        room: for contacts and constraint rows of a world on the GPU; None: an estimate.
    """

    mj: mujoco.MjModel
    substeps: int = 1
    home: str | None = None
    pushed: tuple[str, ...] = ()
    watched: tuple[str, ...] = ()
    room: Capacity | None = None

    @classmethod
    def from_xml(cls, xml: str | Path, **settings: object) -> Model:
        """Compile MJCF, a text or a file; `settings` are the other attributes."""
        if isinstance(xml, Path):
            mj = mujoco.MjModel.from_xml_path(str(xml))
        else:
            mj = mujoco.MjModel.from_xml_string(xml)
        return cls(mj, **settings)  # type: ignore[arg-type]

    @property
    def control_dt_s(self) -> float:
        """Return the duration of a control step, s."""
        return self.substeps * self.mj.opt.timestep

    @property
    def capacity(self) -> Capacity:
        """Return the room for contacts and constraint rows."""
        return self.room or estimate(self.mj)

    def qpos(self, *joints: str) -> slice:
        """Return where joints are in `qpos`."""
        found = [self._joint(name) for name in joints]
        return _joined("joints", joints, [(j.qposadr[0], _WIDTHS[j.type[0]][0]) for j in found])

    def dof(self, *joints: str) -> slice:
        """Return where joints are in `qvel`."""
        found = [self._joint(name) for name in joints]
        return _joined("joints", joints, [(j.dofadr[0], _WIDTHS[j.type[0]][1]) for j in found])

    def sensor(self, *names: str) -> slice:
        """Return where sensors are in `sensors`."""
        found = [self.mj.sensor(self._id("sensor", name)) for name in names]
        return _joined("sensors", names, [(s.adr[0], s.dim[0]) for s in found])

    def actuator(self, *names: str) -> slice:
        """Return where actuators are in `ctrl`."""
        return _joined("actuators", names, [(self._id("actuator", name), 1) for name in names])

    def body(self, *names: str) -> slice:
        """Return where bodies are in fields of the model such as `body_mass`."""
        return _joined("bodies", names, [(self._id("body", name), 1) for name in names])

    def geom(self, *names: str) -> slice:
        """Return where geoms are in fields of the model such as `geom_friction`."""
        return _joined("geoms", names, [(self._id("geom", name), 1) for name in names])

    def mocap(self, *bodies: str) -> slice:
        """Return where mocap bodies are in `mocap`."""
        ids = [int(self.mj.body_mocapid[self._id("body", name)]) for name in bodies]
        return _joined("mocap bodies", bodies, [(i, 1) for i in ids])

    def limits(self, *joints: str) -> np.ndarray:
        """Return the least and the largest position [2, J] of joints, rad or m."""
        return np.array([self._joint(name).range for name in joints]).T

    def repeated(self, field: str, num_envs: int) -> np.ndarray:
        """Return a field of the model once for every world, [N, ...], to be changed and given."""
        return np.repeat(getattr(self.mj, field)[None], num_envs, axis=0)

    @property
    def key(self) -> int:
        """Return the index of the keyframe `home`, -1 without one."""
        return -1 if self.home is None else self._id("key", self.home)

    def start(self) -> dict[str, np.ndarray]:
        """Return what worlds begin with: qpos, qvel, ctrl, and mocap [M, 7] m, wxyz."""
        mj, key = self.mj, self.key
        bodies = np.flatnonzero(mj.body_mocapid >= 0)
        bodies = bodies[np.argsort(mj.body_mocapid[bodies])]
        if key < 0:
            rest = np.zeros(mj.nv), np.zeros(mj.nu)
            mocap = np.concatenate((mj.body_pos[bodies], mj.body_quat[bodies]), axis=1)
            return dict(
                zip(("qpos", "qvel", "ctrl", "mocap"), (mj.qpos0, *rest, mocap), strict=True)
            )
        mocap = np.concatenate(
            (mj.key_mpos[key].reshape(-1, 3), mj.key_mquat[key].reshape(-1, 4)), axis=1
        )
        return {
            "qpos": mj.key_qpos[key],
            "qvel": mj.key_qvel[key],
            "ctrl": mj.key_ctrl[key],
            "mocap": mocap,
        }

    def _joint(self, name: str) -> Any:
        return self.mj.joint(self._id("joint", name))

    def _id(self, kind: str, name: str) -> int:
        """Return the index of a part.

        Raises:
            ValueError: naming the nearest one if there is none of that name.
        """
        number = {"key": self.mj.nkey, "joint": self.mj.njnt}.get(kind)
        number = getattr(self.mj, f"n{kind}") if number is None else number
        names = [getattr(self.mj, kind)(i).name for i in range(number)]
        check_choice(kind, name, names)
        return names.index(name)


def add_frame_sensors(
    spec: mujoco.MjSpec, sites: Sequence[str], kind: mujoco.mjtObj = mujoco.mjtObj.mjOBJ_SITE
) -> None:
    """Let a model tell position, orientation and velocities of sites, or of bodies.

    Every quantity is one block, the sites in their order: `model.sensor(*frames("pos", sites))`.
    """
    for quantity, sensor in FRAME_SENSORS.items():
        for name, site in zip(frames(quantity, sites), sites, strict=True):
            spec.add_sensor(name=name, type=sensor, objtype=kind, objname=site)


def frames(quantity: str, sites: Sequence[str]) -> list[str]:
    """Name the sensors that `add_frame_sensors` adds for a quantity."""
    return [f"{quantity}:{site}" for site in sites]


def _joined(kind: str, names: Sequence[str], parts: Sequence[tuple[int, int]]) -> slice:
    """Return one slice for parts, each an address and a width.

    Raises:
        ValueError: if they do not follow each other.
    """
    if not parts:
        return slice(0, 0)
    end = begin = int(parts[0][0])
    for name, (address, width) in zip(names, parts, strict=True):
        if int(address) != end:
            raise ValueError(
                f"{kind} {', '.join(names)}: {name} does not follow the one before it in the "
                "model; ask for them one by one"
            )
        end += int(width)
    return slice(begin, end)
