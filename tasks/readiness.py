"""Which engines and task families would work on this machine, and what keeps the others from it."""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, Callable, List, NamedTuple, Optional

import torch

from tasks.engines import opengl
from tasks.engines.config import ENGINES
from tasks.isaacgym import preload


class Readiness(NamedTuple):
    """Whether something works.

    Attributes:
        name: the thing.
        is_ready: it works; None: it is not installed, and only some runs need it.
        found: what is there.
        fix: what to type or change where it does not work.
    """

    name: str
    is_ready: Optional[bool]
    found: str
    fix: str = ""


def mujoco() -> Readiness:
    """Return whether the engine on the CPU works: a model is compiled and stepped."""
    return _installed("mujoco", "mujoco", _step_mujoco)


def mujoco_warp() -> Readiness:
    """Return whether the engine on the GPU can be imported, and where its kernels are kept."""
    return _installed("mujoco_warp", "mujoco-warp", _kernel_cache)


def isaac_gym() -> Readiness:
    """Return what keeps Isaac Gym from running; it is not imported, since torch already is."""
    name = "engine isaacgym"
    spec = importlib.util.find_spec("isaacgym")
    if spec is None or spec.origin is None:
        python = ".".join(map(str, preload.PYTHON))
        fix = f"only engine=isaacgym needs it, with Python {python}: docs/isaacgym.md"
        return Readiness(name, None, "not installed", fix)
    try:
        preload.check_python(sys.version_info[:2])
        preload.check_numpy(metadata.version("numpy"))
        if torch.cuda.is_available():
            preload.check_device("cuda")
    except ValueError as error:
        return Readiness(name, False, "installed", str(error).partition(": ")[2])
    bindings = Path(spec.origin).parent / "_bindings" / "linux-x86_64"
    binding = bindings / f"gym_{sys.version_info[0]}{sys.version_info[1]}.so"
    if not binding.is_file():
        fix = "install Isaac Gym Preview 4 again; its archive has one binding for each Python"
        return Readiness(name, False, f"no {binding}", fix)
    if importlib.util.find_spec("isaacgymenvs") is None:
        return Readiness(name, False, "no isaacgymenvs", "docs/isaacgym.md says which one")
    return Readiness(name, True, f"{binding.name}; train.py imports it before torch")


def gymnasium() -> Readiness:
    """Tell the version of Gymnasium."""
    if importlib.util.find_spec("gymnasium") is None:
        fix = "only task=Gymnasium needs it: pip install 'epo[gymnasium]'"
        return Readiness("Gymnasium", None, "not installed", fix)
    return Readiness("Gymnasium", True, metadata.version("gymnasium"))


def drawing() -> Readiness:
    """Return whether worlds can be drawn off screen: a context of OpenGL is opened."""
    name = "drawing (OpenGL)"
    if importlib.util.find_spec("mujoco") is None:
        return Readiness(name, None, "needs MuJoCo", "pip install 'epo[mujoco]'")
    try:
        context = opengl.load()(64, 64)
        context.make_current()
        context.free()
    except ValueError as error:
        return Readiness(name, False, "no context", str(error).partition(": ")[2])
    except Exception as error:  # EGL, PyOpenGL and MuJoCo have each their own.
        try:
            opengl.give_up(error)
        except ValueError as explained:
            return Readiness(name, False, "no context", str(explained).partition(": ")[2])
    return Readiness(name, True, os.environ.get("MUJOCO_GL", "the system's own"))


CHECKS: List[Callable[[], Readiness]] = [mujoco, mujoco_warp, isaac_gym, gymnasium, drawing]


def _installed(engine: str, package: str, use: Callable[[Any], str]) -> Readiness:
    """Import the module of an engine and use it."""
    name, module = f"engine {engine}", ENGINES[engine].package
    if importlib.util.find_spec(module) is None:
        return Readiness(name, None, "not installed", ENGINES[engine].way_out)
    version = metadata.version(package)
    try:
        more = use(importlib.import_module(module))
    except Exception as error:  # a broken binary, or a version that does not fit
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        fix = f"pip install --force-reinstall {package}"
        return Readiness(name, False, f"{version}: {reason}", fix)
    return Readiness(name, True, f"{version}, {more}")


def _step_mujoco(mujoco: Any) -> str:
    model = mujoco.MjModel.from_xml_string("<mujoco><worldbody/></mujoco>")
    mujoco.mj_step(model, mujoco.MjData(model))
    return "steps"


def _kernel_cache(mujoco_warp: Any) -> str:
    from tasks.engines import warp_setup

    warp_setup.start(torch.device("cpu"), None)
    folder = Path(str(warp_setup.wp.config.kernel_cache_dir))
    num = sum(1 for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else 0
    if not os.access(str(folder if folder.is_dir() else folder.parent), os.W_OK):
        raise PermissionError(f"{folder} is read-only; set WARP_CACHE_PATH to another folder")
    return f"{num} compiled modules in {folder}"
