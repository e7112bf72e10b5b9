from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from epo import program
from epo.runner import provenance
from epo.runner.provenance import command_line, describe_session, git_state
from tests.stand_in import replace_in


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with one commit, one change and one new file."""
    git(tmp_path, "init")
    (tmp_path / "code.py").write_text("x = 1\n")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "-m", "first")
    (tmp_path / "code.py").write_text("x = 2\n")
    (tmp_path / "new.py").write_text("")
    return tmp_path


def test_command_works_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    place = tmp_path / "my folder"
    place.mkdir()
    monkeypatch.chdir(place)
    (place / "train.py").write_text("import os, sys; print(os.getcwd(), sys.argv[1:])")
    arguments = ["name=it's $HOME", "a=[1,2]"]
    replace_in(program, "sys.argv", ["train.py", *arguments], monkeypatch)
    line = command_line()
    done = subprocess.run(["sh", "-c", line], cwd="/", check=True, stdout=subprocess.PIPE)
    assert done.stdout.decode().strip() == f"{os.getcwd()} {arguments}"
    assert shlex.split(line)[3] == sys.executable  # cd, folder, &&, python


def test_git_state_holds_what_is_in_no_commit(checkout: Path):
    state = git_state(checkout)
    assert state is not None
    assert len(state.commit) == 40
    assert "-x = 1\n+x = 2" in state.diff
    assert state.untracked == ["new.py"]
    text = describe_session(state)
    assert f"commit {state.commit} with changes, see git.diff" in text
    assert "untracked: new.py" in text


def test_checkout_around_an_installed_package_is_not_its_own(checkout: Path):
    (checkout / "site-packages").mkdir()
    assert git_state(checkout / "site-packages") is None


def test_missing_git_is_fine(checkout: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    assert git_state(checkout) is None
    assert "not in a git checkout" in describe_session(None)


def test_versions_name_what_the_numbers_depend_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = provenance.versions("cpu", {"probe": "1.0"})
    for name in ("python", "epo", "torch", "numpy", "platform", "torch_threads"):
        assert found[name]
    assert found["simulators"]["probe"] == "1.0"
    assert found["environment"]["OMP_NUM_THREADS"] == "3"
    assert found["cuda"] is None


def test_versions_name_the_learners_of_others(monkeypatch: pytest.MonkeyPatch):
    installed = {"rl_games": "1.6.5", "torch": "2.4.1"}
    monkeypatch.setattr(provenance, "_installed", installed.get)
    assert provenance.versions("cpu", {})["peers"] == {"rl_games": "1.6.5"}


TOKEN = "ghp_" + "a1B2" * 9


def test_diff_is_kept_without_secrets_and_not_longer_than_a_limit(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
):
    (checkout / "code.py").write_text(f"key = '{TOKEN}'\npassword = 'hunter2'\n" + "x = 1\n" * 99)
    state = git_state(checkout)
    assert state is not None and "+key = '<redacted>'" in state.diff
    assert "hunter2" not in state.diff
    monkeypatch.setattr(provenance, "MAX_DIFF_BYTES", 300)
    state = git_state(checkout)
    assert state is not None and len(state.diff) < 400
    assert state.diff.endswith("300 are kept\n")


def test_diff_can_be_left_out_and_the_command_says_so(checkout: Path):
    state = provenance.git_commit(checkout)
    assert state is not None and state.diff == ""
    assert "with changes, not kept: record.git_diff=false" in describe_session(state)


def test_command_is_kept_without_secrets(monkeypatch: pytest.MonkeyPatch):
    words = ["train.py", "task.kwargs.password=one two", f"run_dir={TOKEN}", "seed=1"]
    replace_in(program, "sys.argv", words, monkeypatch)
    line = command_line()
    assert "one two" not in line and TOKEN not in line
    assert shlex.split(line)[-1] == "seed=1"
