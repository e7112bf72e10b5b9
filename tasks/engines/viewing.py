"""A MuJoCo world as parts of a live view."""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np

from epo.viewer.scene import Camera, Part, Shape, Vector

KINDS = {
    mujoco.mjtGeom.mjGEOM_PLANE.value: "plane",
    mujoco.mjtGeom.mjGEOM_SPHERE.value: "sphere",
    mujoco.mjtGeom.mjGEOM_CAPSULE.value: "capsule",
    mujoco.mjtGeom.mjGEOM_ELLIPSOID.value: "ellipsoid",
    mujoco.mjtGeom.mjGEOM_CYLINDER.value: "cylinder",
    mujoco.mjtGeom.mjGEOM_BOX.value: "box",
}
"""Kind of geom -> kind of shape; other geoms are not shown."""
PLANE_M = 3.0
"""Half edge of a plane without end."""
World = Callable[[int], "tuple[mujoco.MjModel, mujoco.MjData]"]


def parts(model: mujoco.MjModel, data: mujoco.MjData) -> list[Part]:
    """Return all shapes of a world where they are now."""
    found = []
    for i in np.flatnonzero(np.isin(model.geom_type, list(KINDS))):
        if model.geom_rgba[i, 3] <= 0.0:
            continue
        quat = np.empty(4)
        mujoco.mju_mat2Quat(quat, data.geom_xmat[i])
        found.append(Part(shape(model, int(i)), data.geom_xpos[i].copy(), quat))
    return found


def shape(model: mujoco.MjModel, geom: int) -> Shape:
    """Return how a geom looks."""
    kind = KINDS[int(model.geom_type[geom])]
    size = tuple(float(x) for x in model.geom_size[geom])
    if kind == "plane":
        size = tuple(half or PLANE_M for half in size[:2])
    material = int(model.geom_matid[geom])
    rgba = model.geom_rgba[geom] if material < 0 else model.mat_rgba[material]
    red, green, blue, opacity = (float(x) for x in rgba)
    return Shape(kind, size, (round(255 * red), round(255 * green), round(255 * blue)), opacity)


def camera(model: mujoco.MjModel, data: mujoco.MjData, name: str) -> Camera:
    """Return the view of a camera of the model, aimed at where it looks at the height 0.5 m."""
    index = model.camera(name).id
    eye, ahead = data.cam_xpos[index], -data.cam_xmat[index].reshape(3, 3)[:, 2]
    reach = (0.5 - eye[2]) / ahead[2] if ahead[2] < -1e-3 else 1.0
    aim = eye + ahead * np.clip(reach, 0.5, 5.0)
    return Camera(_vector(eye), _vector(aim))


def _vector(values: np.ndarray) -> Vector:
    x, y, z = values.tolist()
    return x, y, z
