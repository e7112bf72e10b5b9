from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest
from omegaconf import OmegaConf

from epo.cli import child
from epo.cli.environment import CONFIG_DIR
from epo.cli.sweep import slots
from epo.config import ConfigError
from epo.runner.folder_lock import FolderLock
from epo.runner.run_folder import as_recorded
from launch.paper import campaign, start, status
from launch.paper.__main__ import main
from launch.paper.campaign import ALGORITHMS, Run, expand, published, unfinished
from launch.paper.estimate import REPORTED_FPS, Bench, estimate, total_hours

TASK = "AllegroKukaThrow"


@pytest.fixture
def runs(tmp_path: Path) -> List[Run]:
    return expand(tmp_path / "paper", [TASK], ["epo", "ppo"], 2)


def pretend(run: Run, state: str, frames: int = 10_000_000_000, successes: float = 1.0) -> None:
    """Leave what a run leaves."""
    folder = run.folder.path
    folder.mkdir(parents=True)
    (folder / "command.txt").touch()
    OmegaConf.save(OmegaConf.create(as_recorded(run.cfg)), folder / "config.yaml")
    (folder / "spec.json").write_text("{}")
    (folder / "metrics.csv").write_text(
        f"iteration,frames,wall_s,fps,leader/successes\n1,{frames},5,1000,{successes}\n"
    )
    summary = {"status": state, "iteration": 1, "frames": frames, "wall_s": 5.0, "metrics": {}}
    (folder / "summary.json").write_text(json.dumps(summary))


def test_campaign_is_every_task_and_algorithm_with_every_seed(runs: List[Run], tmp_path: Path):
    assert [run.name for run in runs] == [
        f"{TASK}-{algo}-{seed}" for seed in (1, 2) for algo in ("epo", "ppo")
    ]
    assert runs[3].arguments == (
        *(f"experiment=paper/{TASK}", "algo=ppo", "seed=2"),
        *(f"run_dir={tmp_path}/paper/{TASK}/ppo/seed2", "resume=auto"),
    )
    assert runs[0].cfg.num_envs == 24_576 and runs[0].cfg.max_frames == 10_000_000_000


def test_published_tasks_are_those_of_the_paper_presets():
    presets = {path.stem for path in (CONFIG_DIR / "experiment" / "paper").glob("*.yaml")}
    found = published()
    assert set(found) == presets
    assert all("epo" in row and set(row) <= set(ALGORITHMS) for row in found.values())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["stat"], r"argument=stat: unknown; did you mean start\?"),
        (["start", "tasks=AllegroKukaThrw"], r"tasks=AllegroKukaThrw: .*did you mean \w+Throw"),
        (["start", "algos=ppp"], "algos=ppp: not in the campaign"),
        (["start", "where=cloud"], "where=cloud: unknown"),
        (["start", "seeds=0"], "seeds=0: use at least 1"),
        (["status", "tasks=AllegroKukaThrow", "seed=3"], "seed=3: the campaign sets it"),
        (["--dry-run", "fps=-1"], "fps=-1.0: give a positive number"),
    ],
)
def test_bad_input_is_one_line(words: List[str], message: str):
    with pytest.raises(ConfigError, match=message):
        main(words)


def test_finished_runs_are_left_out_and_other_settings_refused(runs: List[Run]):
    pretend(runs[0], "finished")
    pretend(runs[1], "interrupted", frames=5)
    assert unfinished(runs) == runs[1:]
    path = runs[2].folder.path
    other = expand(path.parents[2], [TASK], ["epo"], 1, ["algo.ppo.gamma=0.5"])
    with pytest.raises(ConfigError, match=r"root=.*algo\.ppo\.gamma=0\.5, was"):
        unfinished(other)


def test_folder_in_use_is_refused(runs: List[Run]):
    runs[1].folder.path.mkdir(parents=True)
    lock = FolderLock(runs[1].folder.path)
    lock.acquire()
    with pytest.raises(ConfigError, match="seed1"):
        campaign.check_free(runs)
    lock.release()
    campaign.check_free(runs)


def test_busy_and_missing_gpus_are_refused(monkeypatch: pytest.MonkeyPatch):
    table = [["0", "500", "80000"], ["1", "40960", "81920"]]
    monkeypatch.setattr(slots, "query_gpus", lambda *columns: table)
    assert start.free_gpus(["0"]) == ["0"]
    with pytest.raises(ConfigError, match=r"devices=1: busy: 40\.0 of 80\.0 GiB are in use"):
        start.free_gpus(["0", "1"])
    with pytest.raises(ConfigError, match=r"devices=7: no such GPU here \(0, 1\)"):
        start.free_gpus(["7"])


def test_expected_hours_come_from_the_bench_or_from_the_authors(runs: List[Run], tmp_path: Path):
    # 1e10 frames at 1e5 frames/s: 1e5 s = 27.8 h.
    guess = estimate(runs[0], Bench(tmp_path))
    assert guess.fps == REPORTED_FPS and guess.memory_gb is None
    assert guess.hours == pytest.approx(27.78, abs=0.01)
    (tmp_path / "gpu_H200").mkdir()
    content = {
        "run/one": {"rows": [{"task": TASK, "fps": 2e5}, {"task": "other", "fps": 9e9}]},
        "memory/one": {"rows": [{"task": TASK, "peak_mb": 30_000}]},
    }
    (tmp_path / "gpu_H200" / "results.json").write_text(json.dumps(content))
    measured = estimate(runs[0], Bench(tmp_path))
    assert (measured.fps, measured.memory_gb) == (2e5, 30.0) and "H200" in measured.source
    assert total_hours([measured, guess]) == pytest.approx(1.5 * 27.78, abs=0.01)
    assert estimate(runs[0], Bench(tmp_path), 1e6).fps == 1e6


def test_status_compares_successes_with_the_published_band(runs: List[Run], monkeypatch):
    successes = {runs[0].name: 16.0, runs[2].name: 17.0, runs[1].name: 15.0}
    for run in (runs[0], runs[2], runs[1]):
        pretend(run, "finished", successes=successes[run.name])
    read = status.overview.read
    monkeypatch.setattr(
        status.overview,
        "read",
        lambda folder: read(folder)._replace(
            success=next(successes[r.name] for r in runs if r.folder.path == folder.path)
        ),
    )
    epo, ppo = status.cells(runs, published())
    assert epo.states == {"finished": 2} and epo.successes == [16.0, 17.0]
    assert epo.verdict == "inside"  # 16.5 beside 16.4 ± 0.99
    assert ppo.states == {"finished": 1, "waiting": 1} and ppo.verdict == ""
    assert status.rows([epo])[0][6:] == ["16.5 ± 0.5", "16.4 ± 0.99", "inside"]


def test_run_that_dies_is_started_again_and_a_refused_one_is_not(
    runs: List[Run], monkeypatch: pytest.MonkeyPatch
):
    begun: List[str] = []

    def begin(arguments, folder: Path, environment=None, option="runs"):
        begun.append(f"{folder.parent.name} {(environment or {})['CUDA_VISIBLE_DEVICES']}")
        folder.mkdir(parents=True, exist_ok=True)
        if "algo=epo" in arguments:  # the other leaves nothing: it was refused
            (folder / "config.yaml").write_text("seed: 1\n")
        died_before = begun.count(begun[-1]) > 1
        code = 0 if died_before else 2
        return subprocess.Popen([sys.executable, "-S", "-c", f"raise SystemExit({code})"])

    monkeypatch.setattr(child, "start", begin)
    assert start.run_here(runs[:2], [{"CUDA_VISIBLE_DEVICES": "3"}], retries=2) == 0
    assert begun == ["epo 3", "ppo 3", "epo 3"]


def test_jobs_that_are_in_the_queue_are_not_submitted_again(
    runs: List[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    said = tmp_path / "said"
    for name, body in (
        ("sbatch", f'printf "%s\\n" "$@" >> {said}; echo 12'),
        ("squeue", f"echo epo-{runs[1].name}"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert start.submit(runs[:2], ["--partition=gpu"]) == 1
    line = said.read_text().splitlines()
    assert line[:3] == ["--parsable", f"--job-name=epo-{runs[0].name}", "--partition=gpu"]
    assert line[3] == str(start.SCRIPT) and "resume=auto" not in line


def test_slurm_must_be_there(runs: List[Run], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match="where=slurm: there is no sbatch here"):
        start.submit(runs, [])
