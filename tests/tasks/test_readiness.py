from __future__ import annotations

import importlib.machinery
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("mujoco")

from tasks import readiness


def no_isaacgym(monkeypatch: pytest.MonkeyPatch, spec: Any) -> None:
    util = SimpleNamespace(find_spec=lambda name: spec if name == "isaacgym" else None)
    monkeypatch.setattr(readiness, "importlib", SimpleNamespace(util=util))


def test_engine_that_steps_is_ready():
    ready = readiness.mujoco()
    assert ready.is_ready and ready.found.endswith("steps")


def test_engine_that_breaks_says_how():
    def use(module: Any) -> str:
        raise OSError("undefined symbol: x\nand more")

    ready = readiness._installed("mujoco", "mujoco", use)
    assert ready.is_ready is False
    assert ready.found.endswith("OSError: undefined symbol: x")
    assert "mujoco" in ready.fix


def test_isaac_gym_that_is_not_there_is_no_fault(monkeypatch: pytest.MonkeyPatch):
    no_isaacgym(monkeypatch, None)
    assert readiness.isaac_gym().is_ready is None


def test_isaac_gym_needs_its_python_and_its_binding(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    origin = str(tmp_path / "__init__.py")
    no_isaacgym(monkeypatch, importlib.machinery.ModuleSpec("isaacgym", None, origin=origin))
    monkeypatch.setattr(readiness.preload, "PYTHON", (2, 7))
    assert "needs 2.7" in readiness.isaac_gym().fix
    monkeypatch.setattr(readiness.preload, "PYTHON", sys.version_info[:2])
    monkeypatch.setattr(readiness.preload, "NUMPY_BELOW", (99, 0))
    ready = readiness.isaac_gym()
    assert ready.is_ready is False
    assert "_bindings" in ready.found
