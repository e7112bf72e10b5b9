"""The verb over folders as runs leave them, built by hand: states, filters, diff, clean."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import List, Optional

import pytest

from epo.cli.past_runs import command
from epo.cli.past_runs.command import main
from epo.cli.past_runs.overview import find, read
from epo.config import ConfigError
from epo.runner.run_folder import RunFolder
from tests.stand_in import replace_in


def make_run(
    path: Path,
    status: Optional[str] = "finished",
    iteration: int = 20,
    algo: str = "epo",
    tags: Optional[List[str]] = None,
) -> RunFolder:
    """Write what a run leaves behind; status None: it was killed."""
    (path / "checkpoints").mkdir(parents=True)
    (path / ".lock").touch()
    (path / "command.txt").write_text("train.py\n")
    (path / "config.yaml").write_text(
        f"task:\n  name: ProbeReach\nalgo:\n  name: {algo}\n  ppo:\n    gamma: 0.9\n"
        f"seed: 3\nrun_dir: {path}\nrecord:\n  tags: {json.dumps(tags or [])}\n"
    )
    head = "iteration,frames,wall_s,fps,leader/fitness,leader/episode_return,leader/successes\n"
    rows = [f"{i},{i * 64},{i / 2},128,{i}.5,nan,\n" for i in range(1, iteration + 1)]
    (path / "metrics.csv").write_text(head + "".join(rows))
    folder = RunFolder(path)
    if status is not None:
        error = "disk full" if status == "failed" else ""
        folder.write_summary(status, iteration, iteration * 64, 9.0, 1.0, {}, error)
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    root = tmp_path / "runs"
    make_run(root / "a", tags=["first"])
    make_run(root / "b", status=None, iteration=3, algo="ppo")
    make_run(root / "c", status="failed", iteration=2)
    (root / "b" / "failure" / "x").mkdir(parents=True)
    for name in ("config.yaml", "command.txt"):  # as the flight recorder copies them
        (root / "b" / "failure" / "x" / name).write_text("task: {}\n")
    return root


def listed(words: List[str], capsys: pytest.CaptureFixture) -> List[str]:
    main([*words, "json=true"])
    lines = capsys.readouterr().out.splitlines()
    return [Path(json.loads(line)["path"]).name for line in lines]


def test_runs_are_read_from_the_ends_of_their_tables(runs: Path):
    first, killed, failed = (read(folder) for folder in find(runs))
    assert (first.state, first.task, first.algo, first.seed) == ("finished", "ProbeReach", "epo", 3)
    assert (first.iteration, first.frames, first.fps, first.fitness) == (20, 1280, 128.0, 20.5)
    assert first.tags == ["first"] and first.success != first.success
    assert killed.state == "died"
    assert failed.error == "disk full"


def test_a_folder_that_another_process_holds_is_running(runs: Path):
    hold = "import fcntl, sys; f = open(sys.argv[1], 'r+b'); fcntl.flock(f, 2); print(flush=True)"
    command_line = [sys.executable, "-c", f"{hold}; sys.stdin.read()", str(runs / "b" / ".lock")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command_line, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert read(RunFolder(runs / "b")).state == "running"
        main(["clean", str(runs), "yes=true"])
        process.communicate()
    assert read(RunFolder(runs / "b")).state == "died"  # looking has left no lock
    assert sorted(path.name for path in runs.iterdir()) == ["a", "b"]


def test_filters_choose_by_state_algorithm_and_tag(runs: Path, capsys: pytest.CaptureFixture):
    assert listed([str(runs)], capsys) == ["a", "b", "c"]
    assert listed([str(runs), "state=failed,died"], capsys) == ["b", "c"]
    assert listed([str(runs), "algo=epo"], capsys) == ["a", "c"]
    assert listed([str(runs), "tag=first"], capsys) == ["a"]
    assert listed([str(runs), "task=Pendulum"], capsys) == []


def test_table_names_every_run(runs: Path, capsys: pytest.CaptureFixture):
    main([str(runs)])
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("finished", "died", "failed", "disk full", "1.28 k"))


def test_no_runs_say_how_to_begin_one(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main([])
    assert "epo train experiment=laptop" in capsys.readouterr().out


def test_diff_shows_the_settings_that_are_unlike(runs: Path, capsys: pytest.CaptureFixture):
    main(["diff", str(runs / "a"), str(runs / "b")])
    printed = capsys.readouterr().out
    assert "algo.name" in printed and "record.tags" in printed
    assert "gamma" not in printed and "run_dir" not in printed


def test_clean_asks_and_deletes_what_came_to_nothing(
    runs: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    make_run(runs / "c" / "child")
    with pytest.raises(ConfigError, match="yes=true"):
        main(["clean", str(runs)])
    replace_in(command, "sys.stdin.isatty", lambda: True, monkeypatch)
    monkeypatch.setattr(command, "input", lambda _: "n", raising=False)
    main(["clean", str(runs)])
    assert (runs / "b").exists()
    monkeypatch.setattr(command, "input", lambda _: "y", raising=False)
    main(["clean", str(runs)])
    # `c` came to nothing as well, but holds another run.
    assert sorted(path.name for path in runs.iterdir()) == ["a", "c"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "folder=nowhere: there is no such folder"),
        (["state=faild"], "state=faild: unknown; did you mean failed?"),
        (["colour=red"], "argument=colour=red: unknown"),
        (["diff", "a"], "name two run folders"),
        (["diff", "a", "b"], "run=a: has no readable config.yaml"),
        (["clean", "iterations=many"], "iterations=many"),
    ],
)
def test_bad_input_gets_one_line(words: List[str], message: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as error:
        main(words)
    assert message in str(error.value).replace(" (", "; ").replace("?)", "?")
