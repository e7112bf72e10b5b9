from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

from epo.cli import child
from epo.cli.study import execution
from epo.cli.study.execution import Execution, Job
from epo.cli.study.runs import Run, expand
from epo.config import ConfigError
from tests.cli.study.tiny import NAMES, load, pretend


@pytest.fixture
def runs(tmp_path: Path) -> List[Run]:
    return expand(load(tmp_path), tmp_path / "runs")


@pytest.mark.parametrize("num_jobs", [1, 3, 9])
def test_no_more_jobs_than_allowed_run_at_a_time(
    num_jobs: int, runs: List[Run], monkeypatch: pytest.MonkeyPatch
):
    alive: List[int] = []
    jobs: List[Job] = []

    def start(run: Run) -> Job:
        jobs.append(Job(run, subprocess.Popen([sys.executable, "-c", ""])))
        alive.append(sum(job.process.returncode is None for job in jobs))
        return jobs[-1]

    monkeypatch.setattr(execution, "start", start)
    assert Execution(runs, num_jobs, "kl").run() == 0
    assert [job.run.name for job in jobs] == NAMES
    assert max(alive) == min(num_jobs, len(runs))


def test_failed_run_is_reported_and_the_others_go_on(
    runs: List[Run], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    started: List[str] = []
    monkeypatch.setattr(execution, "start", pretend(started, lambda run: 0.25, [NAMES[0]]))
    work = Execution(runs, 1, "leader/episode_return")
    assert work.run() == 0
    assert started == NAMES
    assert work.failures == {NAMES[0]: "kl=nan in iteration 3"}
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"1/4  {NAMES[0]}: failed: kl=nan in iteration 3 (about ")
    assert lines[-1] == f"4/4  {NAMES[3]}: leader/episode_return 0.25 in 0:00:10"


def test_sigterm_reaches_the_running_ones_and_no_other_begins(
    runs: List[Run], monkeypatch: pytest.MonkeyPatch
):
    wait_for_sigterm = (
        "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(143)); "
        "print(flush=True); signal.pause()"
    )
    jobs: List[Job] = []

    def start(run: Run) -> Job:
        command = [sys.executable, "-c", wait_for_sigterm]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()  # its handler is there
        process.stdout.close()
        jobs.append(Job(run, process))
        if len(jobs) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return jobs[-1]

    monkeypatch.setattr(execution, "start", start)
    work = Execution(runs, 2, "kl")
    assert work.run() == 143
    assert [job.process.returncode for job in jobs] == [143, 143]
    assert not work.failures


def test_error_in_the_study_leaves_no_process_behind(
    runs: List[Run], monkeypatch: pytest.MonkeyPatch
):
    jobs: List[Job] = []

    def start(run: Run) -> Job:
        if jobs:
            raise ConfigError("runs", "there", "cannot be written")
        jobs.append(Job(run, subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1)))
        return jobs[-1]

    monkeypatch.setattr(execution, "start", start)
    with pytest.raises(ConfigError, match="cannot be written"):
        Execution(runs, 2, "kl").run()
    assert jobs[0].process.wait() == -signal.SIGKILL


def test_folder_that_cannot_be_made_is_one_line(runs: List[Run]):
    blocked = runs[0].folder.path
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file")
    with pytest.raises(ConfigError, match=r"runs=.*cannot be written .*choose another runs="):
        execution.start(runs[0])


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("hm\nerror: num_envs=0: use at least 1\nhm\n", "num_envs=0: use at least 1"),
        ("Traceback\n  in line\nKeyError: 'x'\n\n", "code 3, KeyError: 'x' ("),
        ("", "code 3, it printed nothing ("),
    ],
)
def test_reason_is_what_the_run_said_last(printed: str, said: str, runs: List[Run]):
    runs[0].folder.path.mkdir(parents=True)
    (runs[0].folder.path / child.OUTPUT).write_text(printed)
    assert execution.reason(runs[0], 3).startswith(said)
