"""What a clone of the repository holds."""

from __future__ import annotations

import subprocess

import pytest

from tests.composed import REPOSITORY


def test_no_source_file_is_kept_out_by_an_ignore_pattern():
    """A pattern for folders of runs once matched a package, which no clone had."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not in a git checkout")
    listing = ["git", "ls-files", "--others", "--ignored", "--exclude-standard"]
    folders = ["epo", "tasks", "tests", "cfg", "launch", "docker"]
    done = subprocess.run(
        [*listing, "--", *folders], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert [line for line in done.stdout.splitlines() if "__pycache__" not in line] == []


def test_no_link_is_kept_in_the_repository():
    """A link to a folder of one machine was once added: in a clone it leads nowhere."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not in a git checkout")
    done = subprocess.run(
        ["git", "ls-files", "--stage"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    entries = done.stdout.splitlines()
    assert entries
    assert [entry for entry in entries if entry.startswith("120000")] == []
