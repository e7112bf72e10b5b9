"""Yaml files outside of the repository: how they are named, found, listed and remembered."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from epo.cli import environment
from epo.cli.guidance import help_text, options
from epo.cli.overrides import overrides
from epo.cli.play.command import configuration
from epo.cli.search_path import for_hydra, settled, told_to_hydra
from epo.config import ConfigError
from epo.runner.run_folder import as_plain
from epo.runner.saved_run import SavedRun
from tests.composed import REPOSITORY
from tests.integration.command import SMALL

QUICK = "# @package _global_\ndefaults:\n  - override /task: MyReach\n"
TASK = "defaults: [base_probe, _self_]\nname: MyReach\nprobe: reach\nepisode_length: 7\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a task and an experiment that uses it."""
    environment.register()
    here = tmp_path / "my cfg"
    for group, name, text in (
        ("task", "MyReach", TASK),
        ("experiment", "mine/quick", QUICK),
    ):
        path = here / group / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return here


@pytest.mark.parametrize(
    "words",
    [
        ["--config-dir={0}"],
        ["--config-dir", "{0}"],
        ["-cd", "{0}"],
        ['hydra.searchpath=["file://{0}"]'],
        ['search_path=["{0}"]'],
    ],
)
def test_every_way_to_name_the_folder_is_one_setting(words, folder: Path):
    words = [word.format(folder) for word in words]
    assert settled(["seed=1", *words]) == ["seed=1", f'search_path=["{folder}"]']
    (cfg,) = environment.configurations([*words, "task=MyReach"])
    assert (cfg.task.name, cfg.task.episode_length) == ("MyReach", 7)
    assert cfg.search_path == [str(folder)]


def test_words_without_a_folder_stay_as_they_are():
    assert settled(["-m", "seed=1,2", "search_path=[]"]) == ["-m", "seed=1,2"]
    assert for_hydra(["seed=1"]) == []


def test_settings_stay_in_a_row_between_flags(folder: Path):
    words = settled(["-m", f"-cd={folder}", "seed=1,2", "--cfg", "job"])
    assert words == ["-m", "seed=1,2", f'search_path=["{folder}"]', "--cfg", "job"]
    assert told_to_hydra(words)[3:] == [f'hydra.searchpath=["file://{folder}"]', "--cfg", "job"]
    assert told_to_hydra(["seed=1", "--cfg", "job"]) == ["seed=1", "--cfg", "job"]


def test_folders_are_absolute_and_packages_stay(folder: Path, monkeypatch):
    monkeypatch.chdir(folder)
    words = settled(["--config-dir=../my cfg", "search_path=[pkg://epo.config]"])
    assert words == [f'search_path=["{folder}","pkg://epo.config"]']
    assert for_hydra(words) == [f'hydra.searchpath=["file://{folder}","pkg://epo.config"]']


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--config-dir=/no/where", r"search_path=/no/where: there is no such folder; name the one"),
        ("search_path=[pkg://no.where]", "search_path=pkg://no.where: there is no such package"),
        ("search_path=3", r"search_path=3: give a list of folders"),
        ("hydra.searchpath=[3]", r"hydra.searchpath=\[3\]: give a list of folders"),
        ("--config-dir", "flag=--config-dir: name a folder"),
    ],
)
def test_what_is_not_there_is_one_line(word, message):
    with pytest.raises(ConfigError, match=message):
        settled([word])


def test_unknown_task_lists_what_the_search_path_offers_nearest_first(folder: Path):
    with pytest.raises(ConfigError, match=r"did you mean MyReach\? \(choices: MyReach, ArmReach, "):
        environment.configurations([f"--config-dir={folder}", "task=MyReech"])
    with pytest.raises(ConfigError, match=r"choices: ArmReach, .*own: --config-dir=<folder>\)"):
        environment.configurations(["task=MyReech"])


def test_nested_experiments_and_the_help_know_the_folder(folder: Path):
    words = settled([f"--config-dir={folder}"])
    (cfg,) = environment.configurations([*words, "experiment=mine/quick"])
    assert cfg.task.name == "MyReach"
    assert "mine/quick" in options(environment.CONFIG_DIR, words)["experiment"]
    assert "MyReach" in help_text(environment.CONFIG_DIR, words)
    assert "MyReach" not in help_text(environment.CONFIG_DIR)


def test_a_run_is_resumed_and_played_from_anywhere_and_says_where_its_folder_was(
    folder: Path, tmp_path: Path, monkeypatch
):
    run = tmp_path / "run"
    (cfg,) = environment.configurations(
        [*SMALL, f"--config-dir={folder}", "task=MyReach", "max_iterations=1", f"run_dir={run}"]
    )
    assert environment.train(cfg) == 0
    monkeypatch.chdir(REPOSITORY)
    (again,) = environment.configurations(
        [*SMALL, "task=MyReach", "max_iterations=2", f"resume={run}"]
    )
    assert environment.train(again) == 0
    saved = SavedRun(run)
    assert saved.state["iteration"] == 2
    assert configuration(saved, []).task.episode_length == 7
    assert f"search_path=['{folder}']" in overrides(as_plain(again))

    folder.rename(tmp_path / "moved")
    with pytest.raises(ConfigError, match=r"which .*run was composed with; .*--config-dir="):
        environment.configurations(["task=MyReach", f"resume={run}"])
    (moved,) = environment.configurations(
        [f"-cd={tmp_path / 'moved'}", "task=MyReach", f"resume={run}"]
    )
    assert moved.search_path == [str(tmp_path / "moved")]


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "epo", "train"],
        pytest.param([str(REPOSITORY / "train.py")], marks=pytest.mark.slow),
        pytest.param(["-m", "epo", "plan"], marks=pytest.mark.slow),
    ],
)
def test_the_real_commands_find_it(command, folder: Path, tmp_path: Path):
    words = [*SMALL, "task=MyReach", "--config-dir=my cfg"]
    words += ["probe_s=0.1"] if "plan" in command else ["max_iterations=1", "run_dir=run"]
    done = subprocess.run(
        [sys.executable, *command, *words],
        cwd=str(tmp_path),
        env={"PYTHONPATH": str(REPOSITORY), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    if "plan" not in command:
        assert (tmp_path / "run" / "checkpoints" / "last.pt").is_file()
        assert f'search_path=["{folder}"]' in (tmp_path / "run" / "command.txt").read_text()
