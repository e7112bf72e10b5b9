"""Which OpenGL library draws off screen; usable before MuJoCo is imported."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, NoReturn

from tasks.errors import refuse

BACKENDS = ("egl", "osmesa", "glfw")
"""Libraries on Linux, as in the environment variable MUJOCO_GL; the first needs no display."""


def load() -> Any:
    """Return MuJoCo's class of OpenGL contexts.

    On Linux that is the one of MUJOCO_GL, or of EGL, whenever MuJoCo was imported; MUJOCO_GL is
    set to it, as MuJoCo itself reads it when a context is opened.

    Raises:
        ValueError: if there is no such library.
    """
    if not sys.platform.startswith("linux"):
        return importlib.import_module("mujoco").GLContext
    backend = os.environ.setdefault("MUJOCO_GL", BACKENDS[0])
    if backend not in BACKENDS:
        refuse("MUJOCO_GL", backend, f"use one of {', '.join(BACKENDS)}")
    try:
        return importlib.import_module(f"mujoco.{backend}").GLContext
    except Exception as error:  # PyOpenGL reports a missing library as almost anything.
        give_up(error)


def give_up(error: Exception) -> NoReturn:
    """Explain that OpenGL cannot draw here.

    Raises:
        ValueError: always.
    """
    reason = (str(error).strip().partition("\n")[0] or type(error).__name__).rstrip(".")
    way_out = (
        f"OpenGL cannot draw here ({reason}); install EGL (Debian, Ubuntu: apt install libegl1 "
        "libopengl0 libgl1-mesa-dri), or libosmesa6 and set MUJOCO_GL=osmesa"
    )
    refuse("MUJOCO_GL", os.environ.get("MUJOCO_GL", ""), way_out)
