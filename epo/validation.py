"""What a configuration must fulfil before anything heavy starts, and what `auto` means.

`validate` refuses what cannot work; `resolve` replaces `auto` by what this machine offers and
says what it chose. Rules of single settings stand in `epo/config/rules.py`. torch is imported only
where a device is asked for.
"""

from __future__ import annotations

import copy
import difflib
import os
import shutil
from functools import reduce
from pathlib import Path
from typing import Any, Iterable, List, Optional, Sequence, Tuple

from epo.components import TABLES, chosen, load, trainers
from epo.config import AlgoCfg, Config, ConfigError
from epo.config.batch import num_agents_of
from epo.config.devices import ALL, check_dealt, check_devices, check_here, envs_unit, num_ranks
from epo.config.parts import check_parts
from epo.config.rules import CHOICES, RANGES
from epo.cores import granted_cores
from epo.world import find_world

ENVS_ON_CUDA = 24_576
"""Environments of the published runs (AK)."""
ENVS_PER_CORE = 128
"""Environments per CPU core that keep an iteration of the published net under about 5 s."""
LONGEST_NAME, LONGEST_PATH = 240, 3800
"""Bytes of the parts of a path, and of the whole: names of files inside are added to it."""


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """Return `; did you mean X?` for the option nearest to `word`, or nothing.

    A dotted option also counts as near if its end is: `ppo.gama` is near `algo.ppo.gamma`.
    """
    options = list(options)
    depth = word.count(".") + 1
    ends = {".".join(option.split(".")[-depth:]): option for option in reversed(options)}
    near = [ends[end] for end in difflib.get_close_matches(word, ends, n=1, cutoff=0.8)]
    near += difflib.get_close_matches(word, options, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""


def validate(cfg: Config) -> None:
    """Refuse a configuration that cannot run; `auto` values are left to `resolve`.

    Raises:
        ConfigError: at the first impossible setting.
    """
    for table in TABLES:
        for name in chosen(get(cfg, table.setting)):
            table.check(name)
    schema = load(trainers.get(cfg.algo.trainer).schema)
    if not isinstance(cfg.algo, schema):
        way_out = f"algo={cfg.algo.name} has none of its settings; they come with algo=pbt, pql or "
        way_out += "rl_games_ppo"
        raise ConfigError("algo.trainer", cfg.algo.trainer, way_out)
    for name, options in CHOICES.items():
        if not has(cfg, name):
            continue
        value = get(cfg, name)
        if value not in options:
            hint = did_you_mean(str(value), options)
            raise ConfigError(name, value, f"unknown{hint} (choices: {', '.join(options)})")
    for name, allowed in RANGES.items():
        if not has(cfg, name):
            continue
        value = get(cfg, name)
        way_out = allowed.complaint(value)
        if way_out:
            raise ConfigError(name, value, way_out)
    _check_network(cfg.algo)
    _check_normalizer(cfg.algo)
    _check_learning_rate(cfg.algo)
    check_parts(cfg)
    _check_population(cfg)
    for check in trainers.get(cfg.algo.trainer).checks:
        load(check)(cfg)
    _check_device_name(cfg.device)
    check_devices(cfg)
    _check_networks(cfg)
    _check_paths(cfg)
    if cfg.record.eval_interval and cfg.engine.name == "isaacgym":
        way_out = "Isaac Gym holds one simulation per process; use 0, and python -m epo eval"
        raise ConfigError("record.eval_interval", cfg.record.eval_interval, way_out)
    if cfg.algo.evolution.enabled:
        _check_evolution(cfg)


def resolve(cfg: Config, devices: Sequence[str] = ("cuda", "cpu")) -> Tuple[Config, List[str]]:
    """Replace `auto` by what this machine offers.

    Args:
        cfg: a validated configuration; it is not changed.
        devices: kinds of device that the task and its engine run on.

    Returns:
        The configuration to run (the engine is left to `Family.choose_engine`), and a
        line such as `num_envs=512 (auto: 4 CPU cores)` for every choice.

    Raises:
        ConfigError: if the device is not there, or the sizes chosen do not fit the rest.
    """
    cfg, choices = copy.deepcopy(cfg), []
    kind = cfg.device.partition(":")[0]
    if kind not in ("auto", *devices):
        way_out = f"engine={cfg.engine.name} runs on {', '.join(devices)}; use device={devices[0]}"
        raise ConfigError("device", cfg.device, way_out)
    num_devices = _num_cuda_devices() if kind != "cpu" and "cuda" in devices else 0
    if kind == "auto":
        cfg.device = "cuda" if num_devices else "cpu"
        found = f"{num_devices} CUDA devices" if "cuda" in devices else "the engine's"
        choices.append(f"device={cfg.device} (auto: {found})")
    elif kind == "cuda":
        _check_cuda(cfg.device, num_devices)
    num_here = num_devices if cfg.device.startswith("cuda") else granted_cores()
    check_here(cfg.devices, cfg.device.partition(":")[0], num_here)
    size = num_ranks(cfg.devices, num_here)
    if cfg.devices == ALL:
        cfg.devices = num_here
        choices.append(f"devices={num_here} (all)")
    if cfg.num_agents == "auto":
        cfg.num_agents = num_agents_of(cfg)
        choices.append(f"num_agents={cfg.num_agents} (auto: algo={cfg.algo.name})")
    if cfg.num_envs == "auto":
        cfg.num_envs, reason = _auto_num_envs(cfg, envs_unit(cfg, size))
        choices.append(f"num_envs={cfg.num_envs} (auto: {reason})")
    check_dealt(cfg, size)
    if cfg.algo.ppo.bootstrap_truncated is None:
        cfg.algo.ppo.bootstrap_truncated = getattr(cfg.task, "hides_clock", False)
        if cfg.algo.ppo.bootstrap_truncated and cfg.algo.trainer != "pql":  # which always does
            choices.append("algo.ppo.bootstrap_truncated=true (auto: the clock is not observed)")
    if cfg.precision == "auto":
        cfg.precision = _auto_precision(cfg)
        if cfg.precision == "bf16":
            choices.append("precision=bf16 (auto: the processor multiplies bfloat16)")
    validate(cfg)
    if cfg.compile:
        _check_compiler(cfg.device)
    return cfg, choices


def has_population(algo: AlgoCfg) -> bool:
    """Return whether more than one agent makes sense: SAPG's, EPO's, PBT's."""
    return (
        algo.num_agents > 1
        or trainers.get(algo.trainer).has_population
        or algo.aggregation.mode != "none"
        or algo.evolution.enabled
    )


def get(cfg: Any, name: str) -> Any:
    """Return the value of a dotted setting such as `algo.ppo.gamma`."""
    return reduce(getattr, name.split("."), cfg)


def has(cfg: Config, name: str) -> bool:
    """Return whether this algorithm has a setting: only its own trainer's group is there."""
    group, _, rest = name.partition(".")
    return group != "algo" or hasattr(cfg.algo, rest.partition(".")[0])


def _auto_num_envs(cfg: Config, unit: int) -> Tuple[int, str]:
    """Choose N, a multiple of `unit`, and say why; a task may know how many a core can step."""
    per_core = getattr(cfg.task, "envs_per_core", ENVS_PER_CORE if cfg.device == "cpu" else None)
    if per_core is None:
        most, reason = ENVS_ON_CUDA, "as published"
    else:
        cores = granted_cores() * (1 if find_world() is None else num_ranks(cfg.devices, 0))
        most, reason = min(ENVS_ON_CUDA, per_core * cores), f"{cores} CPU cores"
    return max(most // unit, 1) * unit, reason


def _auto_precision(cfg: Config) -> str:
    if trainers.get(cfg.algo.trainer).policy is not None:
        return "fp32"
    from epo.models.precision import supports_bf16

    return "bf16" if supports_bf16(cfg.device) else "fp32"


def _check_networks(cfg: Config) -> None:
    """Refuse what only our actor-critic can do where another network trains."""
    if trainers.get(cfg.algo.trainer).policy is None:
        return
    if cfg.precision == "bf16":
        way_out = f"algo.trainer={cfg.algo.trainer} computes in float32; use precision=auto"
        raise ConfigError("precision", cfg.precision, way_out)
    if cfg.compile:
        way_out = f"algo.trainer={cfg.algo.trainer} has networks of its own; use compile=false"
        raise ConfigError("compile", "true", way_out)
    if cfg.algo.network.critic != "shared":
        way_out = f"algo.trainer={cfg.algo.trainer} has networks of its own; use shared"
        raise ConfigError("algo.network.critic", cfg.algo.network.critic, way_out)


def _check_network(algo: AlgoCfg) -> None:
    for name in ("mlp_units", "cnn_channels"):
        if not getattr(algo.network, name):
            raise ConfigError(f"algo.network.{name}", "[]", "give widths of at least 1")


def _check_normalizer(algo: AlgoCfg) -> None:
    """Refuse `absorbed` where weights of other times are kept, or where nothing would heed it."""
    if algo.normalizer.timing == "absorbed" and (algo.trainer == "pql" or algo.poem.enabled):
        way_out = f"algo={algo.name} cannot do that; use iteration"
        raise ConfigError("algo.normalizer.timing", "absorbed", way_out)


def _check_learning_rate(algo: AlgoCfg) -> None:
    ppo = algo.ppo
    if not ppo.min_learning_rate <= ppo.learning_rate <= ppo.max_learning_rate:
        raise ConfigError(
            "algo.ppo.learning_rate",
            ppo.learning_rate,
            f"use a number from min_learning_rate={ppo.min_learning_rate} to "
            f"max_learning_rate={ppo.max_learning_rate}",
        )
    if ppo.decay_frames is not None and ppo.schedule != "fixed":
        way_out = f"the step size follows algo.ppo.schedule={ppo.schedule}; use null, or fixed"
        raise ConfigError("algo.ppo.decay_frames", ppo.decay_frames, way_out)


def _check_population(cfg: Config) -> None:
    """Check K alone, with the algorithm, and with N."""
    for name in ("num_agents", "num_envs"):
        value = get(cfg, name)
        if value != "auto" and (type(value) is not int or value < 1):
            raise ConfigError(name, value, "use a whole number of at least 1, or auto")
    num_agents = num_agents_of(cfg)
    if num_agents > 1 and not has_population(cfg.algo):
        raise ConfigError(
            "num_agents",
            num_agents,
            f"algo={cfg.algo.name} has no population; use algo=sapg or algo=epo, or num_agents=1",
        )
    if cfg.num_envs != "auto" and cfg.num_envs % num_agents:
        below = cfg.num_envs // num_agents * num_agents
        nearest = " or ".join(str(n) for n in (below, below + num_agents) if n)
        raise ConfigError(
            "num_envs",
            cfg.num_envs,
            f"{num_agents} agents need equal blocks of environments; use {nearest}",
        )


def _check_device_name(device: str) -> None:
    kind, _, index = device.partition(":")
    if device not in ("auto", "cpu", "cuda") and not (kind == "cuda" and index.isdigit()):
        raise ConfigError("device", device, "unknown; use auto, cpu, cuda or cuda:<index>")


def check_device(device: str) -> None:
    """Refuse a device that is not here.

    Raises:
        ConfigError: with the way out.
    """
    _check_device_name(device)
    if device.startswith("cuda"):
        _check_cuda(device, _num_cuda_devices())


def _check_cuda(device: str, num_devices: int) -> None:
    if not num_devices:
        raise ConfigError("device", device, "torch sees no CUDA device here; use device=cpu")
    index = int(device.partition(":")[2] or 0)
    if index >= num_devices:
        raise ConfigError(
            "device", device, f"there are {num_devices}; use cuda:0 to cuda:{num_devices - 1}"
        )


def _check_compiler(device: str) -> None:
    """Check that torch.compile finds what it calls: C++ on a CPU, C around kernels on CUDA."""
    variable, program = ("CXX", "g++") if device == "cpu" else ("CC", "gcc")
    names = [os.environ.get(variable) or program]
    if device != "cpu":  # Triton takes what it finds
        names.append("clang")
    if not any(shutil.which(name) for name in names):
        way_out = f"torch.compile finds no {names[0]}; install g++ (Debian, Ubuntu: apt install "
        way_out += f"g++), name a compiler in {variable}, or use compile=false"
        raise ConfigError("compile", "true", way_out)


def _check_paths(cfg: Config) -> None:
    """Check that what is read exists and that the run folder can be written."""
    for name in ("run_dir", "resume", "checkpoint", "genes"):
        _check_path(name, getattr(cfg, name))
    if cfg.resume not in ("never", "auto") and not Path(cfg.resume).exists():
        raise ConfigError(
            "resume", cfg.resume, "there is no such run folder; use never, auto or a run folder"
        )
    for name in ("checkpoint", "genes"):
        value = getattr(cfg, name)
        if value is not None and not Path(value).is_file():
            raise ConfigError(name, value, "there is no such file")
    setting = "." if cfg.run_dir is None else cfg.run_dir
    folder = Path(setting).absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise ConfigError("run_dir", setting, f"{folder} is not a folder; choose another run_dir")
    if not os.access(str(folder), os.W_OK | os.X_OK):
        raise ConfigError("run_dir", setting, f"{folder} is read-only; choose another run_dir")


def _check_path(name: str, path: Optional[str]) -> None:
    """Refuse a path that no file system takes."""
    if path is None:
        return
    if not path:
        raise ConfigError(name, path, "it is empty; leave it out, or name one")
    longest = max(len(os.fsencode(part)) for part in Path(path).parts or (".",))
    if longest > LONGEST_NAME or len(os.fsencode(path)) > LONGEST_PATH:
        way_out = (
            f"a name has at most {LONGEST_NAME} bytes, a path {LONGEST_PATH}; use a shorter one"
        )
        raise ConfigError(name, path, way_out)
    if "\0" in path:
        raise ConfigError(name, repr(path), "a path holds no NUL; leave it out")


def _check_evolution(cfg: Config) -> None:
    """Leave the rules of evolution to their own module; it imports torch, so it comes last."""
    from epo.population.settings import check

    try:
        check(cfg.algo.evolution, num_agents_of(cfg))
    except ValueError as error:
        raise ValueError(f"algo.evolution.{error}") from error


def _num_cuda_devices() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
