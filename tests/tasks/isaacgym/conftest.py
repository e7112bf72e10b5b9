"""Stand-ins for the packages `isaacgym` and `isaacgymenvs`, installed for the time of a test."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Iterator

import pytest
from omegaconf import OmegaConf

from tasks.isaacgym import env

PACKAGES = Path(__file__).resolve().parent / "packages"
RESOLVERS = ("eq", "contains", "if", "resolve_default")


@pytest.fixture
def isaacgym(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make the packages importable, as if isaacgym had been imported before torch."""
    monkeypatch.syspath_prepend(str(PACKAGES))
    monkeypatch.setattr(env._Process, "has_simulator", False)
    with pytest.MonkeyPatch.context() as without:
        without.delitem(sys.modules, "torch")
        importlib.import_module("isaacgym")
    yield PACKAGES
    for name in [name for name in sys.modules if name.partition(".")[0].startswith("isaacgym")]:
        del sys.modules[name]
    for name in RESOLVERS:
        OmegaConf.clear_resolver(name)
