from __future__ import annotations

import json
from pathlib import Path

from epo.cli.sweep.table import Table, unfinished


def pretend(folder: Path, status: str, error: str = "") -> None:
    """Leave what a run of two iterations leaves."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("seed: 1\n")
    (folder / "metrics.csv").write_text(
        "iteration,frames,wall_s,fps,leader/episode_return\n1,64,0.5,10,1\n2,128,1.25,99.5,3.5\n"
    )
    if status:
        summary = {"status": status, "iteration": 2, "frames": 128, "wall_s": 1.0, "metrics": {}}
        (folder / "summary.json").write_text(json.dumps({**summary, "error": error}))


def test_table_lists_runs_with_state_and_last_numbers(tmp_path: Path):
    pretend(tmp_path / "a", "finished")
    pretend(tmp_path / "b", "failed", "kl=nan")
    pretend(tmp_path / "c", "")
    table = Table(tmp_path)
    table.begin(["a", "b", "c", "d"], [["seed=1"], ["seed=2"], ["x='a b'"], ["api_key=secret"]])
    rows = table.rows()
    states = ["finished", "failed", "died", "waiting"]
    assert [(row["run"], row["state"]) for row in rows] == list(zip("abcd", states))
    assert [rows[0][name] for name in ("frames", "fps", "episode_return")] == ["128", "99.5", "3.5"]
    assert rows[1]["error"] == "kl=nan"
    assert "secret" not in table.path.read_text()
    assert [row["run"] for row in unfinished(rows)] == ["b", "c"]


def test_error_before_the_run_began_stays_until_it_is_tried_again(tmp_path: Path):
    table = Table(tmp_path)
    table.begin(["a", "b"], [["seed=1"], ["seed=2"]])
    table.update("a", "failed", "device=cuda: none here")
    table.update("b", "running")
    assert [row["error"] for row in table.rows()] == ["device=cuda: none here", ""]
    assert [row["state"] for row in table.refresh()] == ["failed", "waiting"]
    table.begin(["a", "b"], [["seed=1"], ["seed=2"]])
    assert [row["state"] for row in table.rows()] == ["waiting", "waiting"]


def test_runs_of_an_earlier_sweep_of_the_folder_stay_behind_the_new_ones(tmp_path: Path):
    table = Table(tmp_path)
    table.begin(["a", "b"], [["seed=1"], ["seed=2"]])
    table.begin(["b", "c"], [["seed=2"], ["seed=3"]])
    assert [row["run"] for row in table.rows()] == ["b", "c", "a"]
