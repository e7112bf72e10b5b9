"""Configurations for tests: composed from `cfg/` as on the command line, without a process."""

from __future__ import annotations

import copy
from functools import lru_cache
from pathlib import Path
from typing import Tuple

from hydra import compose, initialize_config_dir

from epo.cli.compose import typed
from epo.cli.environment import CONFIG_DIR, register
from epo.config import Config

REPOSITORY = Path(__file__).resolve().parents[1]


def composed(*overrides: str) -> Config:
    """Compose what `python train.py <overrides>` would run."""
    return copy.deepcopy(_composed(overrides))


@lru_cache(maxsize=None)
def _composed(overrides: Tuple[str, ...]) -> Config:
    register()
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return typed(compose("config", overrides=list(overrides)))
