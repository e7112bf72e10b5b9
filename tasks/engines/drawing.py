"""Pictures of MuJoCo worlds, drawn off screen."""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import mujoco
import numpy as np

from tasks.engines import opengl

SHADOW_TEXELS = 4
"""Resolution of shadows: edge of the shadow map over the height of the picture, or nearly.

In software the shadow map takes half of the time of a picture.
"""
MAX_GEOMS = 1000
"""Most shapes of one picture."""
MARGIN = 1.04
"""Share by which the view is wider than what it must show."""
_FONT_SCALE = 150
HALO_RGBA = (0.20, 0.75, 0.35, 0.16)
World = Callable[[int], "tuple[mujoco.MjModel, mujoco.MjData]"]


class Halo(NamedTuple):
    """A faint ball that shows how near is near enough.

    Attributes:
        centre: [3] m.
        radius_m: its radius.
    """

    centre: np.ndarray
    radius_m: float


def shadow_size(height: int) -> int:
    """Return the edge of the shadow map for pictures of this height: a power of two."""
    return 2 ** round(math.log2(SHADOW_TEXELS * height))


class Canvas:
    """An off-screen picture of fixed size on which worlds of like models are drawn.

    The worlds may differ in sizes, masses and colours, but not in textures.

    Args:
        model: any of the worlds' models.
        width: of the picture, pixels.
        height: of the picture, pixels.

    Raises:
        ValueError: if OpenGL cannot draw here.
    """

    def __init__(self, model: mujoco.MjModel, width: int, height: int) -> None:
        visual = model.vis
        kept = visual.global_.offwidth, visual.global_.offheight, visual.quality.shadowsize
        visual.global_.offwidth, visual.global_.offheight = width, height
        visual.quality.shadowsize = shadow_size(height)
        try:
            self._gl, self._context = _open_context(model, width, height)
        finally:
            visual.global_.offwidth, visual.global_.offheight, visual.quality.shadowsize = kept
        self._scene = mujoco.MjvScene(model, MAX_GEOMS)
        self._option, self._camera = mujoco.MjvOption(), mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._rect = mujoco.MjrRect(0, 0, width, height)

    def draw(
        self, model: mujoco.MjModel, data: mujoco.MjData, camera: int, halo: Halo | None = None
    ) -> np.ndarray:
        """Draw one world and return the picture, [height, width, 3] uint8."""
        self._camera.fixedcamid = camera
        self._gl.make_current()
        mujoco.mjv_updateScene(
            model, data, self._option, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL, self._scene
        )
        if halo is not None:
            self._add(halo)
        for geom in self._scene.geoms[: self._scene.ngeom]:
            if geom.rgba[3] < 1.0:  # See-through, such as the goal; decoration casts no shadow.
                geom.category = mujoco.mjtCatBit.mjCAT_DECOR
        mujoco.mjr_render(self._rect, self._scene, self._context)
        picture = np.empty((self._rect.height, self._rect.width, 3), dtype=np.uint8)
        mujoco.mjr_readPixels(picture, None, self._rect, self._context)
        return picture[::-1]

    def _add(self, halo: Halo) -> None:
        geom = self._scene.geoms[self._scene.ngeom]
        size, axes = np.full(3, halo.radius_m), np.eye(3).ravel()
        rgba = np.array(HALO_RGBA, dtype=np.float32)
        mujoco.mjv_initGeom(geom, mujoco.mjtGeom.mjGEOM_SPHERE, size, halo.centre, axes, rgba)
        self._scene.ngeom += 1

    def close(self) -> None:
        """Free the memory of OpenGL."""
        self._gl.make_current()
        self._context.free()
        self._gl.free()


class WorldRenderer:
    """Draws worlds from a camera of the model, moved until what matters fills the picture.

    The camera keeps its direction. It goes as near as the shapes of the model at home and the
    further points stay in view, so any picture shape will do.

    Args:
        world: gives model and data of a world, of its own and ready to draw.
        camera: name of a camera.
        points: [P, 3] what must be in view beside the model's shapes, m.
        halo_m: radius of a halo, m; 0: none.
        width: of the picture, pixels.
        height: of the picture, pixels.
        halo_geom: what the halo is around.

    Raises:
        ValueError: if OpenGL cannot draw here.
    """

    def __init__(
        self,
        world: World,
        camera: str,
        points: np.ndarray,
        halo_m: float,
        width: int,
        height: int,
        halo_geom: str = "goal",
    ) -> None:
        self._world, self._halo_m, self._halo_geom = world, halo_m, halo_geom
        model, _ = world(0)
        home = mujoco.MjData(model)
        if model.nkey:
            mujoco.mj_resetDataKeyframe(model, home, 0)
        mujoco.mj_forward(model, home)
        self._camera = model.camera(camera).id
        axes = home.cam_xmat[self._camera].reshape(3, 3)
        fovy_rad = math.radians(float(model.cam_fovy[self._camera]))
        shown = np.concatenate((outline(model, home), points))
        self._eye = fit(shown, axes, fovy_rad, width / height)
        self._canvas = Canvas(model, width, height)

    def draw(self, index: int) -> np.ndarray:
        """Draw world `index` as it is now: [height, width, 3] uint8."""
        model, data = self._world(index)
        data.cam_xpos[self._camera] = self._eye
        halo = Halo(data.geom(self._halo_geom).xpos, self._halo_m) if self._halo_m else None
        return self._canvas.draw(model, data, self._camera, halo)

    def close(self) -> None:
        """Free the memory of OpenGL."""
        self._canvas.close()


def outline(model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
    """Return the corners [P, 3] of boxes around all shapes but endless planes, m, world frame."""
    is_finite = model.geom_type != mujoco.mjtGeom.mjGEOM_PLANE
    centre, half = np.split(model.geom_aabb[is_finite], 2, axis=1)
    signs = np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, 8).T
    corner = centre[:, None] + signs * half[:, None]  # [M, 8, 3]
    turn = data.geom_xmat[is_finite].reshape(-1, 3, 3)
    world = np.einsum("mij,mpj->mpi", turn, corner) + data.geom_xpos[is_finite][:, None]
    return world.reshape(-1, 3)


def fit(points: np.ndarray, axes: np.ndarray, fovy_rad: float, aspect: float) -> np.ndarray:
    """Return the nearest camera position, [3] m, from which all points are in view.

    Args:
        points: [P, 3] m.
        axes: [3, 3] columns right, up and back of the camera.
        fovy_rad: vertical angle of view.
        aspect: width over height of the picture.
    """
    tangent = math.tan(fovy_rad / 2) / MARGIN
    seen = points @ axes
    side, depth = seen[:, :2], seen[:, 2:]
    slope = np.array((tangent * aspect, tangent))
    # A point is in view where |side - eye| <= slope (eye_depth - depth).
    upper, lower = (side + slope * depth).max(axis=0), (side - slope * depth).min(axis=0)
    eye_depth = ((upper - lower) / (2 * slope)).max()
    return axes @ np.append((upper + lower) / 2, eye_depth)


def _open_context(model: mujoco.MjModel, width: int, height: int) -> tuple[Any, Any]:
    """Open an OpenGL context and load what the model draws with."""
    context_class = opengl.load()
    try:
        gl = context_class(width, height)
        gl.make_current()
        context = mujoco.MjrContext(model, _FONT_SCALE)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, context)
    except Exception as error:  # EGL, PyOpenGL and MuJoCo have each their own.
        opengl.give_up(error)
    return gl, context
