from __future__ import annotations

import sys
from pathlib import Path

import pytest

from epo.cli import child
from epo.cli.study import execution
from epo.cli.study.runs import expand, is_finished
from epo.config import ConfigError
from tests.cli.study.tiny import NAMES, TINY, load, pretend


def test_runs_are_all_arms_before_the_next_seed(tmp_path: Path):
    runs = expand(load(tmp_path), tmp_path / "runs")
    assert [run.name for run in runs] == NAMES
    assert runs[1].folder.path == tmp_path / "runs/policy/fast/seed1"


def test_arguments_are_those_of_study_environment_arm_command_line_and_run(tmp_path: Path):
    *_, run = expand(load(tmp_path), tmp_path / "it's", ["algo.ppo.gamma=0.5"])
    assert run.arguments[0] == "device=cpu"
    assert run.arguments[-7:] == (
        "task=ProbePolicy",
        "algo.ppo.learning_rate=1e-2",
        "max_frames=640",
        "algo.ppo.gamma=0.5",
        "seed=2",
        f"run_dir='{tmp_path}/it\\'s/policy/fast/seed2'",
        "resume='auto'",
    )
    assert (run.cfg.seed, run.cfg.max_frames, run.cfg.resume) == (2, 640, "auto")
    assert run.cfg.algo.ppo.learning_rate == 1e-2
    assert run.cfg.run_dir == f"{tmp_path}/it's/policy/fast/seed2"


@pytest.mark.parametrize(
    ("text", "extra", "message"),
    [
        (TINY.replace("=1e-2", "=fast"), [], r"algo\.ppo\.learning_rate=fast: give a number"),
        (TINY.replace("ProbePolicy", "ProbePolice"), [], "task=ProbePolice: .*did you mean"),
        (TINY, ["algo.ppo.gama=1"], r"algo\.ppo\.gama=1: .*did you mean algo\.ppo\.gamma"),
        (TINY, ["seed=3"], "seed=3: the study sets it; use seeds="),
        (TINY, ["run_dir=here"], "run_dir=here: the study sets it; use runs="),
        (TINY, ["max_minutes=3"], "max_minutes=3: runs of equal length"),
        (TINY, ["-m"], "argument=-m: write name=value"),
    ],
)
def test_impossible_run_is_refused_before_any_begins(
    text: str, extra: list, message: str, tmp_path: Path
):
    with pytest.raises(ConfigError, match=message):
        expand(load(tmp_path, text), tmp_path / "runs", extra)
    assert not (tmp_path / "runs").exists()


def test_run_is_finished_if_it_is_on_disk_as_long_as_wanted(tmp_path: Path):
    study = load(tmp_path)
    run = expand(study, tmp_path)[0]
    assert not is_finished(run)
    assert pretend([])(run).process.wait() == 0
    assert is_finished(run)
    longer = expand(load(tmp_path, TINY.replace("frames: 640", "frames: 641")), tmp_path)[0]
    assert not is_finished(longer)
    run.folder.summary.unlink()  # as kill -9 leaves it
    assert not is_finished(run)


def test_folder_with_a_run_of_other_settings_is_refused(tmp_path: Path):
    run = expand(load(tmp_path), tmp_path)[0]
    assert pretend([])(run).process.wait() == 0
    changed = expand(load(tmp_path), tmp_path, ["algo.ppo.gamma=0.5"])[0]
    with pytest.raises(ConfigError, match=r"algo\.ppo\.gamma=0\.5, was 0\.99\); choose another"):
        is_finished(changed)


def test_start_hands_the_arguments_to_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    script = tmp_path / "train.py"
    script.write_text(
        "import os, sys; print(sys.argv[1:], {n: os.environ[n] for n in os.environ if "
        "n.endswith('_NUM_THREADS')})"
    )
    monkeypatch.setattr(child, "TRAIN", [sys.executable, str(script)])
    run = expand(load(tmp_path), tmp_path)[0]
    assert execution.start(run).process.wait() == 0
    printed = (run.folder.path / child.OUTPUT).read_text()
    assert str(list(run.arguments)) in printed
    assert "'OMP_NUM_THREADS': '1'" in printed
