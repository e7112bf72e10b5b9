"""MuJoCo's own viewer, in a window of this machine."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Optional

from epo.config import ConfigError
from epo.exceptions import one_line
from epo.runner.evaluator import Evaluator

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


def check_display() -> None:
    """Refuse where no window can be opened.

    Raises:
        ConfigError: naming the other viewer.
    """
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in DISPLAYS):
        raise ConfigError("viewer", "native", "there is no display; use viewer=web")


def run(evaluator: Evaluator, steps: Optional[int] = None) -> None:
    """Show world 0 until the window is closed, or for a number of control steps.

    Raises:
        ConfigError: if the task has no MuJoCo world, or no window opens.
    """
    env: Any = evaluator.env
    world = getattr(getattr(env, "sim", None), "world", None)
    if world is None:
        raise ConfigError("viewer", "native", f"{env.spec.name} has no such world; use viewer=web")
    import mujoco
    import mujoco.viewer

    model, data = world(0)
    try:
        window = mujoco.viewer.launch_passive(model, data)
    except Exception as error:  # GLFW, OpenGL and macOS have each their own
        way_out = f"no window opens ({one_line(error)}); use viewer=web"
        raise ConfigError("viewer", "native", way_out) from error
    due, made = time.monotonic(), 0
    with window:
        while window.is_running() and (steps is None or made < steps):
            evaluator.step()
            made += 1
            _, now = world(0)
            with window.lock():
                for name in ("qpos", "qvel", "mocap_pos", "mocap_quat"):
                    getattr(data, name)[:] = getattr(now, name)
                mujoco.mj_forward(model, data)  # pyright: ignore[reportAttributeAccessIssue]
            window.sync()
            due = max(due + env.spec.control_dt_s, time.monotonic() - 0.1)
            time.sleep(max(0.0, due - time.monotonic()))
