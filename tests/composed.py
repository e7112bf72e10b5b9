"""Configurations for tests: composed from `cfg/` as on the command line, without a process."""

from __future__ import annotations

import copy
import hashlib
import os
import pickle
import shutil
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Optional, Sequence, Tuple

import hydra
import omegaconf
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from epo.cli.compose import typed
from epo.cli.environment import CONFIG_DIR, register
from epo.config import Config

REPOSITORY = Path(__file__).resolve().parents[1]
CACHE = REPOSITORY / ".pytest_cache" / "compositions"


def composed(*overrides: str) -> Config:
    """Compose what `python train.py <overrides>` would run."""
    return copy.deepcopy(_typed(overrides))


@lru_cache(maxsize=None)
def _typed(overrides: Tuple[str, ...]) -> Config:
    return typed(quick_compose("config", overrides))


def quick_compose(config_name: str, overrides: Optional[Sequence[str]] = None) -> DictConfig:
    """Compose as Hydra does, but every choice of groups once in a process.

    Hydra puts the groups together, which takes half a second, and sets single values at last.
    """
    lines = list(overrides or ())
    values = []
    try:
        for override in OverridesParser.create().parse_overrides(lines):
            key = override.get_key_element()
            if not _is_group(key):
                is_plain = not (override.is_add() or override.is_delete() or ":" in key)
                if not is_plain or key.startswith("hydra") or override.is_sweep_override():
                    raise ValueError(key)
                values.append((key, override.value()))
        groups = [line for line in lines if _is_group(line.partition("=")[0])]
        cfg = copy.deepcopy(_base(config_name, tuple(groups)))
        for key, value in values:
            OmegaConf.update(cfg, key, value, merge=True)
        return cfg
    except Exception:  # Hydra itself says what is wrong, in its words.
        return _compose(config_name, lines)


def _is_group(key: str) -> bool:
    return (CONFIG_DIR / key).is_dir()


@lru_cache(maxsize=None)
def _base(config_name: str, groups: Tuple[str, ...]) -> DictConfig:
    """Put groups together, or take what any process of these tests put together before."""
    name = hashlib.sha256("\0".join((config_name, *groups)).encode()).hexdigest()
    path = _cache() / name
    with suppress(OSError, EOFError, pickle.UnpicklingError):
        return pickle.loads(path.read_bytes())
    cfg = _compose(config_name, list(groups))
    with suppress(OSError):
        temporary = path.with_name(f"{name}.{os.getpid()}")
        temporary.write_bytes(pickle.dumps(cfg))
        os.replace(temporary, path)
    return cfg


@lru_cache(maxsize=None)
def _cache() -> Path:
    """Return a folder for this very state of all that configurations are made of."""
    digest = hashlib.sha256(f"{sys.version} {hydra.__version__} {omegaconf.__version__}".encode())
    for folder, suffix in (("cfg", "yaml"), ("epo", "py"), ("tasks", "py")):
        for path in sorted((REPOSITORY / folder).rglob(f"*.{suffix}")):
            digest.update(str(path.relative_to(REPOSITORY)).encode() + path.read_bytes())
    cache = CACHE / digest.hexdigest()[:16]
    for other in CACHE.glob("*"):
        if other != cache:
            shutil.rmtree(other, ignore_errors=True)
    with suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
    return cache


def _compose(config_name: str, overrides: Sequence[str]) -> DictConfig:
    """Compose with Hydra alone; commands have told it the folder already."""
    register()
    if GlobalHydra.instance().is_initialized():
        return compose(config_name, overrides=list(overrides))
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return compose(config_name, overrides=list(overrides))
