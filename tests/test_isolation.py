"""What a test replaces, it replaces in our own modules: everybody else keeps the real thing."""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path
from typing import Dict, Iterator, List, Optional

import pytest

from tests.composed import REPOSITORY

TABLES = ("sys.modules", "sys.path", "warp.config")
"""Made to be written: the only ways to let an import fail or find something, and to set up Warp."""
OURS = ("epo", "launch", "tasks", "tests", "train")
REPLACING = ("setattr", "delattr", "patch", "object")
"""Of monkeypatch, of Python and of unittest.mock; their first argument is replaced or holds it."""
GLOBAL_SWITCHES = {
    "os.chdir",
    "os.putenv",
    "os.umask",
    "os.environ.pop",
    "os.environ.setdefault",
    "os.environ.update",
    "random.seed",
    "sys.path.append",
    "sys.path.insert",
    "torch.set_default_device",
    "torch.set_default_dtype",
    "torch.set_num_threads",
    "torch.use_deterministic_algorithms",
}
"""Calls that change the process for all tests after this one."""
SWITCHES = {switch.rpartition(".")[2] for switch in GLOBAL_SWITCHES}
TAKEN_BACK = (
    "tests/conftest.py",  # the set-up of the process itself, before anything is imported
    "tests/stress/",  # runs in processes of its own
    "tests/tasks/gymnasium/bad.py",  # environments that misbehave; what is around them is tested
    "tests/tasks/engines/launches.py",  # mujoco_warp calls Warp, none of our modules does
)
"""Where it is meant, and gone with the process or the context that it was made in."""


@lru_cache(maxsize=None)
def imports(path: Path) -> Dict[str, str]:
    """Return the names that a file imports, with the dotted paths that they stand for."""
    return imported(ast.parse(path.read_text(encoding="utf-8")))


def imported(tree: ast.AST) -> Dict[str, str]:
    names: Dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                names[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def dotted(node: ast.AST) -> Optional[str]:
    """Return `a.b.c` as it is written; None for anything but names."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value)
        return owner and f"{owner}.{node.attr}"
    return None


def resolved(path: str, names: Dict[str, str]) -> Optional[str]:
    """Return what `path` stands for in a file that imports `names`; None: something local."""
    first, _, rest = path.partition(".")
    if first not in names:
        return None
    whole = f"{names[first]}.{rest}".rstrip(".")
    return origin(whole)


@lru_cache(maxsize=None)
def origin(path: str) -> str:
    """Follow a dotted path through our modules to where its owner was imported from."""
    parts = path.split(".")
    if parts[0] not in OURS:
        return path
    for count in range(len(parts) - 1, 0, -1):
        stem = REPOSITORY.joinpath(*parts[:count])
        file = next(
            (f for f in (stem.with_suffix(".py"), stem / "__init__.py") if f.exists()), None
        )
        if file is None:
            continue
        own, *rest = parts[count:]
        names = imports(file)
        if (stem / own).is_dir() or (stem / f"{own}.py").exists() or own not in names:
            return path
        return origin(".".join([names[own], *rest]))
    return path


def is_foreign(path: Optional[str]) -> bool:
    return path is not None and path.partition(".")[0] not in OURS


def replaced(node: ast.AST, names: Dict[str, str]) -> Iterator[str]:
    """Return what a statement or call replaces for the whole process."""
    if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, (ast.Attribute, ast.Subscript)):
                path = resolved(dotted(target.value) or "", names)
                if is_foreign(path) and path != "sys.path":
                    yield f"{path}: a part of it is assigned"
    if not isinstance(node, ast.Call):
        return
    name = dotted(node.func) or ""
    word = name.rpartition(".")[2]
    if word in SWITCHES and resolved(name, names) in GLOBAL_SWITCHES:
        yield f"{resolved(name, names)} is called"
    if not node.args or word not in (*REPLACING, "setitem", "delitem"):
        return
    first = node.args[0]
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        path = origin(first.value) if "." in first.value else None
    else:
        path = resolved(dotted(first) or "", names)
    if is_foreign(path) and path not in TABLES:
        yield f"{path}: {word}"


def found_in(code: str) -> List[str]:
    tree = ast.parse(code)
    names = imported(tree)
    return [what for node in ast.walk(tree) for what in replaced(node, names)]


@pytest.mark.parametrize(
    "code",
    [
        "import subprocess\nmonkeypatch.setattr(subprocess, 'run', fake)",
        "monkeypatch.setattr('subprocess.run', fake)",
        "import torch\nmonkeypatch.setattr(torch.cuda, 'is_available', fake)",
        "from torch import cuda\nmonkeypatch.setattr(cuda, 'is_available', fake)",
        "import epo.validation\nmonkeypatch.setattr(epo.validation.os, 'access', fake)",
        "monkeypatch.setattr('epo.validation.os.access', fake)",
        "from epo.record import console\nmonkeypatch.setattr(console.sys, 'stdout', fake)",
        "import os\nos.environ['HOME'] = '/'",
        "import sys\nsys.argv = []",
        "import torch\ntorch.set_default_dtype(torch.float64)",
        "from unittest import mock\nmock.patch('time.time')",
        "import time\nfrom unittest.mock import patch\npatch.object(time, 'time')",
    ],
)
def test_replacing_for_everybody_is_found(code: str):
    assert found_in(code)


@pytest.mark.parametrize(
    "code",
    [
        "import epo.validation\nmonkeypatch.setattr(epo.validation, 'granted_cores', fake)",
        "from epo.record import files\nmonkeypatch.setattr(files, 'open', fake)",
        "monkeypatch.setattr('epo.models.lstm.ALIGNMENT', 1)",
        "from tests.stand_in import replace_in\nreplace_in(files, 'os.fsync', fake, monkeypatch)",
        "import sys\nmonkeypatch.setitem(sys.modules, 'wandb', None)",
        "monkeypatch.setenv('HOME', '/')\nmonkeypatch.chdir(tmp_path)",
        "double = Double()\ndouble.value = 3",
    ],
)
def test_replacing_in_one_of_our_modules_is_fine(code: str):
    assert not found_in(code)


def test_no_test_replaces_anything_for_everybody():
    files = {
        path: REPOSITORY / path
        for file in (REPOSITORY / "tests").rglob("*.py")
        for path in [file.relative_to(REPOSITORY).as_posix()]
        if not path.startswith(TAKEN_BACK)
    }
    faults = [
        f"{path}: {fault}"
        for path, file in files.items()
        for fault in found_in(file.read_text(encoding="utf-8"))
    ]
    assert not faults, "use tests.stand_in.replace_in:\n" + "\n".join(faults)
