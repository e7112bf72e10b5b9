"""Stand-ins for the packages `isaacgym` and `isaacgymenvs`, installed for the time of a test."""

from __future__ import annotations

import copy
import importlib
import sys
from pathlib import Path
from typing import Any, ClassVar, Dict, Iterator

import pytest
from omegaconf import DictConfig, OmegaConf

from tasks.isaacgym import env
from tasks.isaacgym.compose import compose_cfg

PACKAGES = Path(__file__).resolve().parent / "packages"
RESOLVERS = ("eq", "contains", "if", "resolve_default")


class _Composer:
    """Composes what tests ask for again and again once: `compose_cfg` takes a third of a second."""

    found: ClassVar[Dict[str, DictConfig]] = {}

    def __call__(self, *arguments: Any) -> DictConfig:
        key = repr(arguments)
        if key not in self.found:
            self.found[key] = compose_cfg(*arguments)
        return copy.deepcopy(self.found[key])


@pytest.fixture
def isaacgym(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make the packages importable, as if isaacgym had been imported before torch."""
    monkeypatch.syspath_prepend(str(PACKAGES))
    monkeypatch.setattr(env._Process, "has_simulator", False)
    monkeypatch.setattr(env, "compose_cfg", _Composer())
    with pytest.MonkeyPatch.context() as without:
        without.delitem(sys.modules, "torch")
        importlib.import_module("isaacgym")
    yield PACKAGES
    for name in [name for name in sys.modules if name.partition(".")[0].startswith("isaacgym")]:
        del sys.modules[name]
    for name in RESOLVERS:
        OmegaConf.clear_resolver(name)
