"""`python -m epo study`: from the command line to the page."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Tuple

import pytest

from epo.__main__ import main as epo
from epo.cli.study import execution
from epo.config import ConfigError
from tests.cli.study.tiny import NAMES, pretend, write
from tests.composed import REPOSITORY

STUDIES = "studies: " + ", ".join(
    sorted(path.stem for path in (REPOSITORY / "cfg" / "study").glob("*.yaml"))
)


def arguments(folder: Path, *others: str) -> List[str]:
    return [write(folder), f"runs={folder}/runs", f"results={folder}/page", *others]


def test_finished_runs_are_never_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("matplotlib")
    started: List[str] = []
    monkeypatch.setattr(execution, "start", pretend(started))
    epo(["study", *arguments(tmp_path, "seeds=1", "jobs=2")])
    assert started == NAMES[:2]
    epo(["study", *arguments(tmp_path, "jobs=2")])
    assert started == NAMES
    epo(["study", *arguments(tmp_path, "jobs=2")])
    assert started == NAMES
    assert sorted(path.name for path in (tmp_path / "page").iterdir()) == [
        "README.md",
        "curves.png",
        "results.csv",
        "runs.jsonl",
    ]
    assert (tmp_path / "page/curves.png").read_bytes().startswith(b"\x89PNG")
    assert "cpu: abacus, 1 cores; Python 3, torch 2" in (tmp_path / "page/README.md").read_text()


def test_study_goes_on_without_the_folders_of_finished_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("matplotlib")
    started: List[str] = []
    monkeypatch.setattr(execution, "start", pretend(started, lambda run: 0.1 + run.seed / 3))
    epo(["study", *arguments(tmp_path, "seeds=1")])
    first = set((tmp_path / "page/results.csv").read_text().splitlines())
    shutil.rmtree(tmp_path / "runs")
    epo(["study", *arguments(tmp_path)])
    assert started == NAMES
    assert first < set((tmp_path / "page/results.csv").read_text().splitlines())
    page = (tmp_path / "page/README.md").read_text()
    shutil.rmtree(tmp_path / "runs")
    epo(["study", *arguments(tmp_path)])
    assert started == NAMES and (tmp_path / "page/README.md").read_text() == page
    # Of other settings it knows nothing.
    epo(["study", *arguments(tmp_path, "seeds=1", "algo.ppo.gamma=0.9", "jobs=1")])
    assert started == [*NAMES, *NAMES[:2]]


def test_damaged_archive_is_one_line(tmp_path: Path):
    (tmp_path / "page").mkdir()
    (tmp_path / "page/runs.jsonl").write_text('{"settings": "x"}\n')
    with pytest.raises(ConfigError, match=r"results=.*runs.jsonl: line 1 is damaged .*restore it"):
        epo(["study", *arguments(tmp_path)])


def test_smaller_study_calls_itself_a_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(execution, "start", pretend([]))
    epo(["study", *arguments(tmp_path, "seeds=1", "max_frames=320")])
    page = " ".join((tmp_path / "page/README.md").read_text().split())
    assert "1 seeds instead of 2, policy with 320 frames instead of 640" in page
    assert "seeds=1 max_frames=320" in page


def test_failed_run_is_on_the_page_and_ends_with_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("matplotlib")
    started: List[str] = []
    monkeypatch.setattr(execution, "start", pretend(started, failing=[NAMES[2]]))
    with pytest.raises(SystemExit) as end:
        epo(["study", *arguments(tmp_path, "jobs=2")])
    assert end.value.code == 1
    page = (tmp_path / "page/README.md").read_text()
    assert f"- {NAMES[2]}: kl=nan in iteration 3" in page
    # Once more: only the failed one is tried again.
    monkeypatch.setattr(execution, "start", pretend(started))
    epo(["study", *arguments(tmp_path, "jobs=2")])
    assert started == [*NAMES, NAMES[2]]


def test_no_jobs_write_the_page_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("matplotlib")
    started: List[str] = []
    monkeypatch.setattr(execution, "start", pretend(started))
    with pytest.raises(ConfigError, match=r"results=.*no run is finished \(not run yet\)"):
        epo(["study", *arguments(tmp_path, "jobs=0")])
    epo(["study", *arguments(tmp_path, "seeds=1")])
    with pytest.raises(SystemExit):
        epo(["study", *arguments(tmp_path, "jobs=0")])
    assert started == NAMES[:2]
    assert f"- {NAMES[3]}: not run yet" in (tmp_path / "page/README.md").read_text()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["poen"], rf"study=poen: unknown; did you mean poem\? \({STUDIES}\)"),
        (["nowhere.yaml"], r"study=nowhere\.yaml: unknown"),
        (["poem", "peers"], "argument=peers: one study at a time"),
        (["poem", "jobs=-1"], "jobs=-1: use at least 0"),
        (["poem", "seeds=0"], "seeds=0: use at least 1"),
        (["poem", "seeds=many"], "seeds=many: "),
        (["poem", "arms=pppo"], "arms=pppo: not in this study; did you mean ppo"),
        (["epo_scaling", "environments=Maze"], "environments=Maze: not in this study"),
        (["poem", "max_frames=0"], "max_frames=0: use at least 1"),
    ],
)
def test_wrong_arguments_are_one_line(given: List[str], message: str):
    with pytest.raises(ConfigError, match=message) as error:
        epo(["study", *given])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("given", [[], ["--help"], ["poem", "-h"]])
def test_study_explains_itself(given: List[str], capsys: pytest.CaptureFixture[str]):
    epo(["study", *given])
    out = capsys.readouterr().out
    assert out.startswith("usage: python -m epo study NAME")
    assert STUDIES in " ".join(out.split())


def start(folder: Path, *others: str) -> subprocess.Popen:
    """Start the real command in a process group of its own, without a GPU."""
    return subprocess.Popen(
        [sys.executable, "-m", "epo", "study", *arguments(folder, "jobs=2", *others)],
        cwd=str(REPOSITORY),
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        universal_newlines=True,
        start_new_session=True,
    )


def results(folder: Path) -> List[Dict[str, str]]:
    """Read results.csv without its measured times."""
    with open(folder / "page/results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if name != "wall_s"} for row in rows]


def sessions(folder: Path) -> Dict[Tuple[str, ...], int]:
    """Count how often each run was begun or continued."""
    found = (folder / "runs").glob("*/*/*/command.txt")
    return {path.parts[-4:-1]: path.read_text().count(" on ") for path in found}


@pytest.mark.slow
def test_killed_study_goes_on_and_equals_an_uninterrupted_one(tmp_path: Path):
    pytest.importorskip("matplotlib")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    uninterrupted = start(whole)
    uninterrupted.communicate(timeout=300)
    assert uninterrupted.returncode == 0
    process = start(killed)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("1/4"):
            os.killpg(process.pid, signal.SIGKILL)
            break
    process.wait()
    finished = {path.parent for path in (killed / "runs").glob("*/*/*/summary.json")}
    assert finished
    again = start(killed)
    out, _ = again.communicate(timeout=300)
    assert again.returncode == 0
    assert f"{len(finished)} of 4 runs are finished already" in out
    counts = sessions(killed)
    assert len(counts) == 4
    assert all(counts[path.parts[-3:]] == 1 for path in finished)
    assert results(killed) == results(whole)
