from __future__ import annotations

import math
import os

import numpy as np
import pytest

pytest.importorskip("mujoco")

import mujoco

from tasks.engines import drawing, opengl
from tests.tasks.opengl import needs_opengl

SCENE = """
<mujoco>
  <worldbody>
    <geom name="floor" type="plane" size="0 0 1" rgba=".5 .5 .5 1"/>
    <geom name="box" type="box" size=".1 .2 .3" pos="1 2 1" euler="0 0 90" rgba="1 0 0 {alpha}"/>
    <light pos="1 2 5" dir="0 0 -1" type="directional" castshadow="true"/>
    <camera name="top" pos="1 2 4" xyaxes="1 0 0 0 1 0" fovy="60"/>
  </worldbody>
  <keyframe><key name="home"/></keyframe>
</mujoco>
"""


def world(alpha: float = 1.0):
    model = mujoco.MjModel.from_xml_string(SCENE.format(alpha=alpha))  # pyright: ignore
    data = mujoco.MjData(model)  # pyright: ignore
    mujoco.mj_forward(model, data)  # pyright: ignore
    return model, data


def test_outline_holds_the_corners_of_bodies_but_no_plane():
    corners = drawing.outline(*world())
    assert corners.shape == (8, 3)
    # Turned by 90 degrees: .2 along x and .1 along y.
    assert corners.min(axis=0) == pytest.approx([0.8, 1.9, 0.7])
    assert corners.max(axis=0) == pytest.approx([1.2, 2.1, 1.3])


def test_fit_goes_as_near_as_the_field_of_view_allows():
    # tan(45 degrees) = 1: a half width of 1 is seen from 1 m, times the margin.
    points = np.array([(1.0, 0.0, 0.0), (-1.0, 0.0, 0.0)])
    eye = drawing.fit(points, np.eye(3), math.pi / 2, aspect=1.0)
    assert eye == pytest.approx([0, 0, drawing.MARGIN])
    # A picture of double width needs half the distance.
    eye = drawing.fit(points, np.eye(3), math.pi / 2, aspect=2.0)
    assert eye == pytest.approx([0, 0, drawing.MARGIN / 2])


def test_fit_keeps_every_point_in_view_and_one_at_the_edge():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(50, 3))
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    eye = drawing.fit(points, axes, math.radians(45), aspect=1.5)
    seen = (points - eye) @ axes
    reach = -seen[:, 2] * math.tan(math.radians(22.5))
    share = np.maximum(abs(seen[:, 0]) / (1.5 * reach), abs(seen[:, 1]) / reach)
    assert (seen[:, 2] < 0).all()
    assert share.max() == pytest.approx(1 / drawing.MARGIN)


@needs_opengl
def test_canvas_draws_the_upper_left_corner_first():
    model, data = world()
    data.cam_xpos[0] = (0.5, 1.5, 4.0)  # The box appears to the upper right.
    canvas = drawing.Canvas(model, 96, 64)
    picture = canvas.draw(model, data, 0).astype(int)
    canvas.close()
    assert picture.shape == (64, 96, 3)
    is_red = picture[..., 0] > picture[..., 1] + 50
    rows, columns = is_red.nonzero()
    assert len(rows) > 10
    assert rows.max() < 32 and columns.min() >= 48


@needs_opengl
@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_only_solid_bodies_cast_shadows(alpha: float):
    model, data = world(alpha)
    # From the side: box and shadow lie apart.
    data.cam_xpos[0] = (1.0, -0.5, 0.8)
    data.cam_xmat[0] = (1, 0, 0, 0, 0, -1, 0, 1, 0)
    canvas = drawing.Canvas(model, 160, 120)
    with_box = canvas.draw(model, data, 0).astype(int)
    model.geom_rgba[1, 3] = 0.0
    without = canvas.draw(model, data, 0).astype(int)
    canvas.close()
    is_darker = ((without - with_box).min(axis=-1) > 20).any()
    assert is_darker == (alpha == 1.0)


@needs_opengl
def test_renderer_moves_the_camera_until_the_model_fills_the_picture():
    renderer = drawing.WorldRenderer(lambda index: world(), "top", np.zeros((0, 3)), 0.0, 96, 64)
    picture = renderer.draw(0)
    renderer.close()
    rows = (picture[..., 0] > picture[..., 1].astype(int) + 50).nonzero()[0]
    # The top of the box, .4 x .2 m, and 96 x 64 pixels: its length fills the width, so its
    # breadth takes 96 / 2 / 1.04 = 46 of the rows.
    assert len(set(rows)) in range(44, 49)


def test_missing_library_is_one_clear_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MUJOCO_GL", "vulkan")
    with pytest.raises(ValueError, match="MUJOCO_GL=vulkan is impossible: use one of egl"):
        opengl.load()

    class Broken:
        @staticmethod
        def import_module(name: str) -> None:
            raise AttributeError("None has no attribute eglQueryString")

    monkeypatch.delenv("MUJOCO_GL")
    monkeypatch.setattr(opengl, "importlib", Broken)
    with pytest.raises(ValueError, match=r"cannot draw here \(None .*String\); install EGL"):
        opengl.load()
    assert os.environ["MUJOCO_GL"] == "egl"
