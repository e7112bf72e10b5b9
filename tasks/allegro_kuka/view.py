"""How the scene is shown: light, sky and the camera `front`."""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

from typing import NamedTuple

import mujoco
import numpy as np

_SKY_RGB = ((0.93, 0.95, 0.97), (0.60, 0.68, 0.76))


class View(NamedTuple):
    """Where the camera is and what it looks at, m."""

    eye: tuple[float, float, float]
    aim: tuple[float, float, float]


VIEWS = {
    "one_arm": View((-1.2, -0.7, 1.25), (-0.04, 0.27, 0.56)),
    "throw": View((-1.62, -2.82, 1.31), (0.06, -0.29, 0.13)),
    "two_arms": View((0.0, -2.3, 1.5), (0.0, 0.0, 0.62)),
    "walls": View((1.0, -2.3, 1.75), (0.0, 0.0, 0.8)),
}
"""Views from across the table that show robots and every goal; tall walls leave the picture."""


def add_view(spec: mujoco.MjSpec, view: View) -> None:
    """Add light, sky and the camera `front`."""
    spec.worldbody.add_camera(name="front", pos=view.eye, quat=_looking(view), fovy=45)
    directional = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
    spec.worldbody.add_light(
        pos=(0.5, -1, 3), dir=(-0.2, 0.4, -1), type=directional, castshadow=True, diffuse=(0.6,) * 3
    )
    spec.add_texture(
        name="sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, width=256, height=1536,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT, rgb1=_SKY_RGB[0], rgb2=_SKY_RGB[1],
    )  # fmt: skip
    visual = spec.visual
    visual.headlight.ambient, visual.headlight.diffuse = (0.35,) * 3, (0.35,) * 3
    visual.headlight.specular = (0.05,) * 3
    visual.global_.offwidth, visual.global_.offheight = 1920, 1080
    visual.quality.shadowsize = 4096
    # Shadows reach twice as far as the model's extent: buckets and goals lie outside it.
    visual.map.shadowclip = 2


def _looking(view: View) -> np.ndarray:
    """Return the orientation, [4] wxyz, of a camera that looks at the aim with the sky above."""
    back = np.subtract(view.eye, view.aim)
    back /= np.linalg.norm(back)
    right = np.cross((0.0, 0.0, 1.0), back)
    right /= np.linalg.norm(right)
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, np.stack([right, np.cross(back, right), back], axis=1).ravel())
    return quat
