"""The wheel: installed on its own it has the command, the settings and nothing of the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.composed import REPOSITORY

pytestmark = pytest.mark.slow
COPIED = (
    "epo",
    "tasks",
    "cfg",
    "pyproject.toml",
    "setup.py",
    "MANIFEST.in",
    "README.md",
    "LICENSE",
)
TRAINING = [
    *("task=ProbeReach", "algo=ppo", "device=cpu", "num_envs=4", "max_iterations=2"),
    *("algo.network.kind=mlp", "algo.network.mlp_units=[8]", "run_dir=run"),
    *("record.console=plain", "record.tensorboard=false"),
]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of commands of an environment that holds the wheel; its dependencies are borrowed."""
    source = tmp_path_factory.mktemp("source")
    for name in COPIED:
        place = REPOSITORY / name
        copy = shutil.copytree if place.is_dir() else shutil.copy
        copy(place, source / name)
    wheels = tmp_path_factory.mktemp("wheels")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = [*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", wheels, source]
    subprocess.run(build, check=True)
    (wheel,) = wheels.glob("epo-*.whl")
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, with_pip=False, symlinks=True)
    packages = next(environment.glob("lib/python*/site-packages"))
    # Searched after its own: an installed wheel comes first.
    (packages / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    python = environment / "bin" / "python"
    install = [*pip, "--python", python, "install", "-q", "--no-deps", "--force-reinstall", wheel]
    subprocess.run(install, check=True)
    return environment / "bin"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder that holds a `tasks` and a `cfg` of its own."""
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "__init__.py").write_text("raise RuntimeError('not ours')")
    (tmp_path / "cfg").mkdir()
    (tmp_path / "cfg" / "config.yaml").write_text("not: ours\n")
    return tmp_path


def call(folder: Path, *words: object) -> str:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(word) for word in words]
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_command_trains_outside_of_the_checkout_and_names_itself(installed: Path, elsewhere: Path):
    printed = call(elsewhere, installed / "epo", "train", *TRAINING)
    assert json.loads((elsewhere / "run" / "summary.json").read_text())["iteration"] == 2
    assert "epo plot run" in printed and "epo train task=ProbeReach" in printed
    assert str(REPOSITORY) not in printed
    used = call(elsewhere, installed / "python", "-c", "import epo; print(epo.__file__)")
    assert str(installed.parent) in used
    # The printed command goes on with it, by the module too.
    call(elsewhere, installed / "python", "-m", "epo", "train", "resume=run", *TRAINING[:-3][:4],
         *TRAINING[5:7], "max_iterations=3", *TRAINING[8:])  # fmt: skip
    assert json.loads((elsewhere / "run" / "summary.json").read_text())["iteration"] == 3


def test_library_is_that_of_the_wheel_beside_a_folder_of_the_same_name(
    installed: Path, elsewhere: Path
):
    (elsewhere / "script.py").write_text(
        "import epo\n"
        f"run = epo.train(epo.compose(*{TRAINING!r}))\n"
        "print(epo.load(run).act([0.0] * 4))\n"
    )
    assert call(elsewhere, installed / "python", "script.py").strip().endswith("]")


def test_help_lists_tasks_and_verbs(installed: Path, elsewhere: Path):
    assert "AllegroKukaThrow" in call(elsewhere, installed / "epo", "train", "--help")
    assert "usage: epo <verb>" in call(elsewhere, installed / "epo")
