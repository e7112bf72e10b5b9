from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from epo import program
from epo.cli.overrides import overrides
from epo.config import ConfigError
from epo.runner import folder_lock
from epo.runner.run_folder import RunFolder, as_recorded, default_run_dir
from tests.composed import composed
from tests.runner.small_config import small_config
from tests.stand_in import replace_in


def test_begin_writes_what_the_run_is(tmp_path: Path):
    folder = RunFolder(tmp_path / "a" / "run")
    folder.begin(small_config(seed=5, max_frames=1000))
    saved = OmegaConf.load(folder.config)
    assert (saved.seed, saved.max_frames, saved.task.name) == (5, 1000, "Probe")
    assert saved.task.reach_m == float("inf")
    assert saved.algo.ppo.gamma == 0.99
    versions = json.loads((folder.path / "versions.json").read_text())
    assert versions["python"] == ".".join(str(part) for part in sys.version_info[:3])
    assert versions["cpu_cores_granted"] >= 1
    assert versions["device"].startswith("cpu: ")
    assert folder.last.parent.is_dir()


def test_every_session_adds_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = RunFolder(tmp_path)
    for argument in ("seed=1", "resume=auto"):
        replace_in(program, "sys.argv", ["train.py", argument], monkeypatch)
        folder.begin(small_config())
        folder.lock.release()
    lines = (tmp_path / "command.txt").read_text().splitlines()
    commands = [shlex.split(line) for line in lines if line.startswith("cd ")]
    assert [command[-1] for command in commands] == ["seed=1", "resume=auto"]


def test_simulator_versions_are_added_when_known(tmp_path: Path):
    folder = RunFolder(tmp_path)
    folder.write_versions("cpu", {"probe": "3.1"})
    versions = json.loads((tmp_path / "versions.json").read_text())
    assert versions["simulators"]["probe"] == "3.1"


def test_summary_is_valid_json_even_with_nan(tmp_path: Path):
    folder = RunFolder(tmp_path)
    assert folder.read_summary() == {}
    folder.write_summary("interrupted", 3, 48, 1.5, float("-inf"), {"leader/fitness": float("nan")})
    text = folder.summary.read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    assert folder.read_summary() == {
        "status": "interrupted",
        "iteration": 3,
        "frames": 48,
        "wall_s": 1.5,
        "best_fitness": None,
        "metrics": {"leader/fitness": None},
    }


def test_new_session_removes_the_summary_of_the_last(tmp_path: Path):
    folder = RunFolder(tmp_path)
    folder.write_summary("finished", 3, 48, 1.5, 0.0, {})
    folder.begin(small_config())
    assert not folder.summary.exists()


def test_failed_run_keeps_its_error(tmp_path: Path):
    folder = RunFolder(tmp_path)
    folder.write_summary("failed", 3, 48, 1.5, 0.0, {}, error="kl=nan")
    assert folder.read_summary()["error"] == "kl=nan"


def test_file_in_the_way_names_the_folder(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"run_dir=.*file/run: cannot be written .*another"):
        RunFolder(tmp_path / "file" / "run").begin(small_config())


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that is read-only")
def test_read_only_place_names_the_folder():
    with pytest.raises(ConfigError, match=r"run_dir=/proc/run: cannot be written"):
        RunFolder(Path("/proc/run")).begin(small_config())


@pytest.mark.skipif(folder_lock.fcntl is None, reason="no file locks on this system")
def test_folder_belongs_to_one_run_until_its_lock_is_closed(tmp_path: Path):
    first = RunFolder(tmp_path)
    first.begin(small_config())
    with pytest.raises(ConfigError, match="another process trains"):
        RunFolder(tmp_path).begin(small_config())
    first.lock.release()  # the system does so at the end of a process, kill -9 included
    RunFolder(tmp_path).begin(small_config())


def test_default_folders_never_collide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    paths = {default_run_dir(small_config(seed=3)) for _ in range(3)}
    assert len(paths) == 3
    for path in paths:
        assert path.parent == Path("runs/Probe/ppo")
        assert "_seed3" in path.name
        assert os.listdir(path) == []


def test_what_came_from_the_environment_is_kept_as_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("EPO_TEST_TOKEN", "hunter2-Zx81")
    lines = ["task=Gymnasium", "task.kwargs.key=${oc.env:EPO_TEST_TOKEN}"]
    cfg = composed(*lines, "task.kwargs.other=${task.kwargs.key}", "task.kwargs.password=abc")
    assert cfg.task.kwargs["other"] == "hunter2-Zx81"
    cfg.device, cfg.record.git_diff = "cpu", False
    RunFolder(tmp_path).begin(cfg)
    assert not (tmp_path / "git.diff").exists()
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"hunter2" not in path.read_bytes(), path
    saved = RunFolder(tmp_path).read_config()
    assert saved is not None and saved == as_recorded(cfg)
    assert saved["task"]["kwargs"] == {
        "key": "${oc.env:EPO_TEST_TOKEN}",
        "other": "${task.kwargs.key}",
        "password": "<redacted>",
    }
    again = composed(*overrides({"task": saved["task"]}))
    assert again.task.kwargs["key"] == "hunter2-Zx81"
