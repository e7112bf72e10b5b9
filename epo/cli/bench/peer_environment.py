"""The Python that rl_games runs in: a virtual environment of its own, made once and kept."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import List, Optional, Sequence

from epo.config import ConfigError

RL_GAMES = "rl-games==1.6.5"
"""The version that `epo.config.rl_games` was read in."""
SETTING = "peer_python"
_PROBE = "import torch, rl_games.torch_runner; print('torch', torch.__version__)"
_FINISHED = "complete"


def peer_python(existing: Optional[str]) -> Path:
    """Return an interpreter that can import rl_games and the same torch as this process.

    Args:
        existing: an interpreter that has both; None: the cached one, installed if it is missing.

    Raises:
        ConfigError: if it lacks them, or cannot be made.
    """
    requirements = [RL_GAMES, f"torch=={public(version('torch'))}"]
    if existing is None:
        return cached(requirements)
    try:
        found = _run([existing, "-I", "-c", _PROBE]).rpartition("torch ")[2].strip()
    except (OSError, subprocess.CalledProcessError) as error:
        way_out = f"it cannot run rl_games ({_reason(error)}); {_install(existing, requirements)}"
        raise ConfigError(SETTING, existing, way_out) from error
    if public(found) != public(version("torch")):
        way_out = f"it has torch {found}, unlike here; {_install(existing, requirements)}"
        raise ConfigError(SETTING, existing, way_out)
    return Path(existing)


def public(release: str) -> str:
    """Return a version without its build (what follows +), which registries name differently."""
    return release.partition("+")[0]


def folder(requirements: Sequence[str]) -> Path:
    """Return the environment's place: named after what it must contain, this Python included."""
    content = "\n".join([*requirements, sys.version])
    key = hashlib.sha256(content.encode()).hexdigest()[:16]
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "epo" / f"rl_games-{key}"


def cached(requirements: Sequence[str]) -> Path:
    """Return the interpreter of the cached environment; install it unless that was once finished.

    Raises:
        ConfigError: if `venv` or `pip` fails; what they left is made anew the next time.
    """
    place = folder(requirements)
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if (place / _FINISHED).exists():
        return python
    said = f"installing {' and '.join(requirements)} in {place}: once, some minutes"
    print(said, file=sys.stderr, flush=True)
    shutil.rmtree(place, ignore_errors=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        _run([sys.executable, "-m", "venv", str(place)])
        _run([*pip, *requirements])
    except (OSError, subprocess.CalledProcessError) as error:
        way_out = (
            f"it cannot be installed ({_reason(error)}); put {' and '.join(requirements)} into any "
            f"environment and give {SETTING}=/path/to/its/python"
        )
        raise ConfigError(SETTING, "null", way_out) from error
    (place / _FINISHED).touch()
    return python


def _run(command: List[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _install(python: str, requirements: Sequence[str]) -> str:
    return f"{python} -m pip install {' '.join(requirements)}"


def _reason(error: Exception) -> str:
    """Return the last line that a command wrote, or what kept it from being run."""
    said = getattr(error, "stderr", None) or getattr(error, "stdout", None) or str(error)
    return said.strip().rpartition("\n")[2]
