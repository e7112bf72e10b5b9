"""What Isaac Gym needs, and its import before torch; torch is not imported here at module level."""

from __future__ import annotations

import importlib
import importlib.util
import shlex
import sys
from importlib import metadata
from pathlib import Path
from typing import Dict, NoReturn, Optional, Sequence, Tuple

from tasks.errors import refuse

PYTHON = (3, 8)
"""The last Python that Isaac Gym Preview 4 has binaries for, and the first that epo runs on."""
NUMPY_BELOW = (1, 24)
"""First NumPy without `np.float`, which Isaac Gym uses (IsaacGymEnvs issue 183)."""
CRASHES_FROM = 9
"""Compute capability from which its PhysX crashes: Hopper, Blackwell (IsaacGymEnvs issue 220)."""
INSTEAD = "or use engine=mujoco_warp"


def preload() -> None:
    """Import `isaacgym`, which must come before torch; further calls do nothing.

    Raises:
        ValueError: if it cannot work in this process, with the reason and the way out.
    """
    if "isaacgym" in sys.modules:
        return
    check_python(sys.version_info[:2])
    for package in ("isaacgym", "isaacgymenvs"):
        if importlib.util.find_spec(package) is None:
            _refuse(f"{package} is not installed; see docs/isaacgym.md, {INSTEAD}")
    check_numpy(_version("numpy"))
    if "torch" in sys.modules:
        _refuse(
            "torch was imported before it; begin with python train.py or python -m epo, "
            "or import isaacgym first in your own script"
        )
    try:
        importlib.import_module("isaacgym")
    except (ImportError, OSError, RuntimeError) as error:
        _refuse(f"{_first_line(error)}; {_hint(str(error))}, {INSTEAD}")


def check_python(version: Sequence[int]) -> None:
    """Refuse a Python for which there are no binaries.

    Raises:
        ValueError: naming it.
    """
    if tuple(version) != PYTHON:
        found, needed = (".".join(map(str, numbers)) for numbers in (version, PYTHON))
        _refuse(f"this is Python {found} and it needs {needed}; see docs/isaacgym.md, {INSTEAD}")


def check_numpy(version: Optional[str]) -> None:
    """Refuse a NumPy that Isaac Gym cannot run with.

    Raises:
        ValueError: naming it.
    """
    if version is not None and _numbers(version) >= NUMPY_BELOW:
        below = ".".join(map(str, NUMPY_BELOW))
        _refuse(f"it needs NumPy below {below}, this is {version}; pip install 'numpy<{below}'")


def check_device(device: str) -> None:
    """Refuse a GPU on which PhysX is known to crash; imports torch.

    Raises:
        ValueError: naming the GPU.
    """
    if not device.startswith("cuda"):
        return
    name, (major, minor) = _gpu(device)
    if major >= CRASHES_FROM:
        way_out = (
            f"Isaac Gym's PhysX ends with a segmentation fault on {name} (compute capability "
            f"{major}.{minor}); use engine=mujoco_warp, or device=cpu"
        )
        refuse("device", device, way_out)


def _gpu(device: str) -> Tuple[str, Tuple[int, int]]:
    """Name a GPU and its compute capability."""
    import torch

    gpu = torch.device(device)
    return torch.cuda.get_device_name(gpu), torch.cuda.get_device_capability(gpu)


def import_isaacgymenvs() -> None:
    """Import `isaacgymenvs`, with it its resolvers for OmegaConf, and everything that it needs.

    Raises:
        ValueError: if that fails, with the reason.
    """
    try:
        for module in ("", ".tasks", ".utils.rlgames_utils"):
            importlib.import_module(f"isaacgymenvs{module}")
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        _refuse(f"isaacgymenvs: {_first_line(error)}; {_hint(str(error))}, {INSTEAD}")


def versions() -> Dict[str, str]:
    """Return the versions of the packages, as far as they tell."""
    found = {name: _version(name) for name in ("isaacgym", "isaacgymenvs")}
    return {name: version for name, version in found.items() if version}


def _hint(message: str) -> str:
    """Return what helps against a failed import."""
    if "libpython" in message:
        return "add the environment's lib folder to LD_LIBRARY_PATH"
    if "libmem_filesys" in message:
        return "add isaacgym/_bindings/linux-x86_64 to LD_LIBRARY_PATH"
    if "rl_games." in message:
        return (
            f"the forks of SAPG and EPO need their own rl_games: pip install -e {_own_rl_games()}"
        )
    if "No module named" in message:
        return "install it"
    return "see docs/isaacgym.md"


def _own_rl_games() -> str:
    """Name the folder of the rl_games that a fork brings beside its isaacgymenvs."""
    spec = importlib.util.find_spec("isaacgymenvs")
    checkout = Path(spec.origin).parents[1] if spec and spec.origin else Path("CHECKOUT")
    return shlex.quote(str(checkout / "rl_games"))


def _refuse(way_out: str) -> NoReturn:
    refuse("engine", "isaacgym", way_out)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _version(package: str) -> Optional[str]:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> Tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])
