"""Hydra's launchers: which there are, what they need here, how many runs go on at a time."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from typing import Any, List, Mapping, Sequence

from epo.cli.sweep import slots
from epo.config import ConfigError
from epo.cores import core_ids
from epo.quoting import python, shell
from epo.validation import did_you_mean

SETTING = "hydra/launcher"
PACKAGES = {
    "basic": "",
    "joblib": "hydra_plugins.hydra_joblib_launcher",
    "slurm": "hydra_plugins.hydra_submitit_launcher",
    "submitit_local": "hydra_plugins.hydra_submitit_launcher",
}
"""Launcher -> the package that it comes from: one run after the other; several at a time on this
machine; jobs of a Slurm cluster; the same without a cluster."""
N_JOBS = "hydra.launcher.n_jobs"


def check(words: Sequence[str]) -> None:
    """Refuse a launcher that cannot work here, before Hydra looks for it.

    Args:
        words: arguments of train.py.

    Raises:
        ConfigError: if it is unknown, its package is missing, or there is no Slurm.
    """
    hydra = dict(word.split("=", 1) for word in words if word.startswith("hydra") and "=" in word)
    if hydra.get("hydra/sweeper", "basic") != "basic":
        way_out = "unknown; to search for good values use python -m launch.tune"
        raise ConfigError("hydra/sweeper", hydra["hydra/sweeper"], way_out)
    name = hydra.get(SETTING, "basic")
    if name not in PACKAGES:
        way_out = f"unknown{did_you_mean(name, PACKAGES)} (choices: {', '.join(PACKAGES)})"
        raise ConfigError(SETTING, name, way_out)
    if PACKAGES[name] and not _is_installed(PACKAGES[name]):
        extra = "joblib" if name == "joblib" else "slurm"
        way_out = "its package is missing: " + shell(
            [python(), "-m", "pip", "install", "-e", f".[{extra}]"]
        )
        raise ConfigError(SETTING, name, way_out)
    if name == "slurm" and shutil.which("sbatch") is None:
        way_out = "there is no sbatch here; start it on a login node of the cluster, or use "
        way_out += f"{SETTING}=joblib on this machine"
        raise ConfigError(SETTING, name, way_out)
    if N_JOBS in hydra:
        _check_number(hydra[N_JOBS])


def arguments(hydra: Mapping[str, str], num_runs: int) -> List[str]:
    """Return what the command line leaves open: joblib's runs at a time.

    One for every GPU, or else one for every core.
    """
    if hydra.get(SETTING) != "joblib" or N_JOBS in hydra:
        return []
    places = len(slots.gpus()) or len(core_ids())
    return [f"{N_JOBS}={max(1, min(places, num_runs))}"]


def num_slots(launcher: Any) -> int:
    """Return how many runs go on at a time on this machine, from Hydra's own configuration."""
    number = launcher.get("n_jobs")
    if number is None:
        return 1
    return int(number) if int(number) > 0 else max(1, len(core_ids()) + 1 + int(number))


def is_joblib(launcher: Any) -> bool:
    """Tell whether runs share this machine."""
    return "JoblibLauncher" in launcher.get("_target_", "")


def is_slurm(launcher: Any) -> bool:
    """Return whether every run is a job of Slurm."""
    return "SlurmLauncher" in launcher.get("_target_", "")


def is_basic(launcher: Any) -> bool:
    """Tell whether runs come one after the other, on this terminal."""
    return "BasicLauncher" in launcher.get("_target_", "")


def _check_number(text: str) -> None:
    try:
        is_number = int(text) != 0
    except ValueError:
        is_number = False
    if not is_number:
        raise ConfigError(N_JOBS, text, "give the number of runs at a time, or -1 for all cores")


def _is_installed(name: str) -> bool:
    """Look for a package without importing it; its parent is a namespace that may be missing."""
    if name in sys.modules:
        return True
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
