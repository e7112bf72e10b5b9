"""Where rl_games is installed, and what is said if that fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, List

import pytest

from epo.cli.bench import peer_environment
from epo.cli.bench.peer_environment import cached, folder, peer_python, public
from epo.config import ConfigError
from tests.stand_in import replace_in

REQUIREMENTS = ["rl-games==1.6.5", "torch==2.13.0"]


@pytest.fixture()
def commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> List[List[str]]:
    """Collect the commands that are run instead of running them; the cache is empty."""
    found: List[List[str]] = []

    def run(command: List[str], **kwargs: Any) -> Any:
        found.append(command)
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    replace_in(peer_environment, "subprocess.run", run, monkeypatch)
    return found


def fake_python(tmp_path: Path, code: str) -> str:
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{code}\n")
    path.chmod(0o755)
    return str(path)


def test_build_of_torch_does_not_count():
    assert (public("2.13.0+cpu"), public("2.13.0")) == ("2.13.0", "2.13.0")


def test_other_requirements_have_another_folder():
    assert folder(REQUIREMENTS) != folder(["rl-games==1.6.5", "torch==2.12.0"])


def test_environment_is_installed_once(
    commands: List[List[str]], capsys: pytest.CaptureFixture[str]
):
    python = cached(REQUIREMENTS)
    assert [command[0] for command in commands] == [sys.executable, str(python)]
    assert commands[1][-2:] == REQUIREMENTS
    assert "installing rl-games==1.6.5 and torch==2.13.0" in capsys.readouterr().err
    assert cached(REQUIREMENTS) == python and len(commands) == 2


def test_environment_that_was_not_finished_is_made_anew(commands: List[List[str]]):
    rest = folder(REQUIREMENTS) / "rest"
    rest.mkdir(parents=True)
    cached(REQUIREMENTS)
    assert len(commands) == 2 and not rest.exists()


def test_failure_of_pip_names_the_way_out(
    commands: List[List[str]], monkeypatch: pytest.MonkeyPatch
):
    def fail(command: List[str]) -> str:
        if "pip" in command:
            raise subprocess.CalledProcessError(1, command, "", "first\nERROR: no network\n")
        return ""

    monkeypatch.setattr(peer_environment, "_run", fail)
    message = (
        r"cannot be installed \(ERROR: no network\); put .* give peer_python=/path/to/its/pyth"
    )
    with pytest.raises(ConfigError, match=message):
        cached(REQUIREMENTS)
    assert not (folder(REQUIREMENTS) / "complete").exists()


def test_given_python_must_have_rl_games(tmp_path: Path):
    python = fake_python(tmp_path, "echo \"No module named 'rl_games'\" >&2; exit 1")
    with pytest.raises(ConfigError, match=r"it cannot run rl_games \(No module named 'rl_games'\)"):
        peer_python(python)


def test_given_python_must_be_there(tmp_path: Path):
    with pytest.raises(ConfigError, match="it cannot run rl_games"):
        peer_python(str(tmp_path / "nowhere"))


def test_given_python_must_have_this_torch(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"it has torch 1\.0\.0\+cpu, unlike here"):
        peer_python(fake_python(tmp_path, "echo torch 1.0.0+cpu"))


def test_given_python_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(peer_environment, "version", lambda package: "1.0.0+cu126")
    python = fake_python(tmp_path, "echo torch 1.0.0+cpu")
    assert peer_python(python) == Path(python)
