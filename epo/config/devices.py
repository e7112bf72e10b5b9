"""`devices`: how many ranks a run has, and on which devices of this machine."""

from __future__ import annotations

from typing import Any, List

from epo.components import MEMBERS, trainers
from epo.config.error import ConfigError
from epo.config.pbt import is_files
from epo.world import find_world

ALL = "all"
_WAY_OUT = "use a number of at least 1, all, or indices such as [0,3]"


def check_devices(cfg: Any) -> None:
    """Refuse what no ranks can be started for; how many devices there are is asked later.

    Raises:
        ConfigError: naming what is wrong.
    """
    devices = cfg.devices
    if isinstance(devices, (list, tuple)):
        is_fine = all(type(i) is int and i >= 0 for i in devices) and len(devices) > 0
        if not is_fine or len(set(devices)) < len(devices):
            raise ConfigError("devices", list(devices), f"{_WAY_OUT}, each once")
        if cfg.device != "auto" and cfg.device != "cuda":
            way_out = f"device={cfg.device} has no indices to choose from; give a number"
            raise ConfigError("devices", list(devices), way_out)
    elif devices != ALL and (type(devices) is not int or devices < 1):
        raise ConfigError("devices", devices, _WAY_OUT)
    if devices == 1 and find_world() is None:
        return
    if cfg.device.startswith("cuda:"):
        way_out = "names one device, and there are several ranks; use device=cuda"
        raise ConfigError("device", cfg.device, way_out)
    if trainers.get(cfg.algo.trainer).dealt is None:
        way_out = f"algo.trainer={cfg.algo.trainer} trains in one process; use devices=1"
        raise ConfigError("devices", _shown(devices), way_out)
    if is_files(cfg.algo):
        way_out = "with algo.pbt.backend=files every process is one member; use devices=1"
        raise ConfigError("devices", _shown(devices), way_out)
    size = num_ranks(devices, 0)
    if size and cfg.num_agents != "auto" and cfg.num_envs != "auto":
        check_dealt(cfg, size)


def num_ranks(devices: Any, num_here: int) -> int:
    """Count the ranks of the run: the launcher's, or those that `devices` asks for.

    Args:
        devices: the setting.
        num_here: devices of this machine, for `all`.
    """
    world = find_world()
    if world is not None:
        return world.size
    if isinstance(devices, (list, tuple)):
        return len(devices)
    return num_here if devices == ALL else devices


def check_here(devices: Any, kind: str, num_here: int) -> None:
    """Refuse more ranks than this machine has devices.

    Args:
        devices: the setting.
        kind: `cuda` or `cpu`; a CPU has room for a rank per core.
        num_here: CUDA devices or cores of this machine.

    Raises:
        ConfigError: naming how many there are.
    """
    world = find_world()
    if world is not None and kind == "cpu":
        return  # a rank sees its own cores only
    wanted = world.local_size if world is not None else num_ranks(devices, num_here)
    highest = max(devices) if isinstance(devices, (list, tuple)) else -1
    if wanted == 1 and highest < 0:
        return
    what = "CUDA devices" if kind == "cuda" else "CPU cores"
    if wanted > num_here or highest >= num_here:
        setting = ("devices", _shown(devices))
        if world is not None:
            setting = ("--nproc-per-node", str(world.local_size))
        indices = f", with indices 0 to {num_here - 1}" if highest >= num_here else ""
        raise ConfigError(*setting, f"this machine has {num_here} {what}{indices}; use fewer")


def deals_members(cfg: Any) -> bool:
    """Return whether ranks get whole members, not a slice of every agent's environments."""
    return trainers.get(cfg.algo.trainer).dealt == MEMBERS


def envs_unit(cfg: Any, size: int) -> int:
    """Return the number that `num_envs` must be a multiple of on `size` ranks."""
    return cfg.num_agents * (1 if deals_members(cfg) else size)


def agents_here(cfg: Any, size: int) -> int:
    """Return how many agents have environments on each of `size` ranks."""
    return int(cfg.num_agents) // (size if deals_members(cfg) else 1)


def check_dealt(cfg: Any, size: int) -> None:
    """Refuse numbers of members and environments that ranks cannot share equally.

    Args:
        cfg: with `num_agents` and `num_envs` as numbers.
        size: W, ranks.

    Raises:
        ConfigError: with the nearest that they can.
    """
    num_agents = cfg.num_agents
    if deals_members(cfg) and num_agents % size:
        way_out = f"{size} ranks need equally many members; use {_nearest(num_agents, size)}"
        raise ConfigError("num_agents", num_agents, way_out)
    unit = envs_unit(cfg, size)
    if cfg.num_envs % unit:
        agents = "" if num_agents == 1 else f" of every one of {num_agents} agents"
        way_out = f"{size} ranks need equal parts{agents}; use {_nearest(cfg.num_envs, unit)}"
        raise ConfigError("num_envs", cfg.num_envs, way_out)


def _nearest(number: int, unit: int) -> str:
    """Name the multiples of `unit` around a number."""
    below = number // unit * unit
    return " or ".join(str(n) for n in (below, below + unit) if n)


def rank_device(cfg: Any) -> str:
    """Return the device of this rank; without a launcher that of the run."""
    world = find_world()
    chosen: List[int] = list(cfg.devices) if isinstance(cfg.devices, (list, tuple)) else []
    if cfg.device != "cuda" or (world is None and not chosen):
        return cfg.device
    local_rank = 0 if world is None else world.local_rank
    return f"cuda:{chosen[local_rank] if chosen else local_rank}"


def _shown(devices: Any) -> Any:
    return list(devices) if isinstance(devices, (list, tuple)) else devices
