from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict

import pytest
from omegaconf import OmegaConf

from epo.config import AlgoCfg, ConfigError
from epo.record.csv import MetricsCsv, rows
from epo.runner import checkpoint, provenance
from epo.runner.run_folder import RunFolder, as_recorded
from epo.runner.start import RunStart, differences, find_start
from tests.runner.small_config import EngineCfg, SmallConfig, TaskCfg, small_config


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # Slow, and not what is tested.
    monkeypatch.setattr(provenance, "git_state", lambda: None)
    monkeypatch.setattr(provenance, "versions", lambda device, extra: {})


def start_run(cfg: SmallConfig) -> RunStart:
    """Find the start and begin, as a run does."""
    start = find_start(cfg)
    if not start.is_finished:
        start.load()
        start.begin(cfg, {})
    return start


def earlier(
    cfg: SmallConfig, iteration: int = 10, status: str = "", age_s: float = 100.0
) -> RunFolder:
    """Leave a run behind as one that ended (`status`) or was killed, `age_s` ago."""
    folder = start_run(cfg).folder
    sink = MetricsCsv(folder.path)
    for i in range(1, iteration + 1):
        sink.write(16 * i, {"iteration": i, "frames": 16 * i})
    sink.close()
    save(folder, iteration)
    os.utime(folder.last, (1e9 - age_s, 1e9 - age_s))
    if status:
        folder.write_summary(status, iteration, 16 * iteration, 60.0 * iteration, 0.0, {})
    folder.lock.release()
    return folder


def save(folder: RunFolder, iteration: int) -> None:
    state = {"iteration": iteration, "frames": 16 * iteration, "wall_s": 60.0 * iteration}
    folder.save_last(state, keep=3)


def test_new_run_begins_in_a_new_folder():
    first, second = start_run(small_config()), start_run(small_config())
    assert first.folder.path != second.folder.path
    assert first.checkpoints == []
    assert first.note == ""
    assert first.folder.config.exists()


def test_auto_starts_fresh_and_says_so_without_an_earlier_run():
    earlier(small_config(seed=1))
    start = start_run(small_config(seed=2, resume="auto"))
    assert start.checkpoints == []
    assert "no earlier run" in start.note


def test_auto_continues_the_newest_run_of_the_same_command():
    earlier(small_config(), age_s=300.0)
    newest = earlier(small_config(), age_s=100.0)
    earlier(small_config(seed=1), age_s=0.0)
    start = start_run(small_config(resume="auto"))
    assert start.folder.path.absolute() == newest.path
    assert start.checkpoints == [newest.last]
    assert "continuing" in start.note
    assert not start.is_finished


@pytest.mark.parametrize(
    "change",
    [
        {"max_frames": 9999},
        {"max_minutes": 3.0},
        {"device": "cuda"},
        {"engine": EngineCfg(num_threads=2)},
    ],
)
def test_auto_ignores_settings_that_make_no_other_command(change: Any):
    folder = earlier(small_config())
    cfg = small_config(**{**change, "resume": "auto"})
    cfg.record.tensorboard = False
    cfg.device = "cpu"
    assert start_run(cfg).folder.path == folder.path


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"num_envs": 8},
        {"task": TaskCfg(length=11)},
        {"algo": AlgoCfg(name="ppo", trainer="pql")},
        {"checkpoint": "weights.pt"},
    ],
)
def test_auto_tells_other_commands_apart(change: Any):
    earlier(small_config())
    assert start_run(small_config(resume="auto", **change)).checkpoints == []


def test_auto_says_that_a_finished_run_is_finished():
    folder = earlier(small_config(max_iterations=10), status="finished")
    start = start_run(small_config(max_iterations=10, resume="auto"))
    assert start.is_finished
    assert start.folder.path.absolute() == folder.path
    assert "max_iterations=10" in start.note
    assert folder.summary.exists()


@pytest.mark.parametrize(
    ("status", "limits"),
    [
        ("finished", {"max_iterations": 11}),  # raised: 10 are done
        ("finished", {"max_frames": 161}),  # 160 are done
        ("finished", {"max_minutes": 10.5}),  # 10 are used
        ("finished", {}),
        ("interrupted", {"max_iterations": 10}),
        ("failed", {"max_iterations": 10}),
    ],
)
def test_auto_continues_where_something_is_left_to_do(status: str, limits: Any):
    folder = earlier(small_config(max_iterations=10), status=status)
    start = start_run(small_config(resume="auto", **limits))
    assert not start.is_finished
    assert start.checkpoints == [folder.last]


def test_auto_passes_over_damaged_folders():
    good = earlier(small_config(), age_s=200.0)
    bad = earlier(small_config(), age_s=100.0)
    bad.config.write_text("a: [")
    assert start_run(small_config(resume="auto")).folder.path == good.path


def test_auto_in_a_given_folder_starts_over_what_has_no_checkpoint():
    cfg = small_config(run_dir="mine")
    folder = earlier(cfg, iteration=3)
    folder.last.unlink()  # killed before the first checkpoint
    start = start_run(small_config(run_dir="mine", resume="auto"))
    assert start.checkpoints == []
    assert list(rows(start.folder.metrics)) == []


def test_auto_in_a_given_folder_refuses_another_command():
    earlier(small_config(run_dir="mine"))
    with pytest.raises(ConfigError, match=r"resume=auto: mine .*seed=1, was 0"):
        start_run(small_config(run_dir="mine", resume="auto", seed=1))


@pytest.mark.parametrize("resume", ["never", "auto"])
def test_finished_run_is_never_overwritten(resume: str):
    folder = earlier(small_config(run_dir="mine"), status="finished")
    folder.last.unlink()
    before = folder.metrics.read_bytes()
    with pytest.raises(ConfigError, match=r"run_dir=mine: holds a run already"):
        start_run(small_config(run_dir="mine", resume=resume))
    assert folder.metrics.read_bytes() == before
    assert folder.summary.exists()


def test_named_run_may_go_on_with_changed_settings():
    folder = earlier(small_config())
    cfg = small_config(resume=str(folder.path))
    cfg.algo.ppo.gamma = 0.5
    start = start_run(cfg)
    assert start.checkpoints == [folder.last]
    assert "algo.ppo.gamma=0.5, was 0.99" in start.note


def test_change_that_would_have_no_effect_is_refused():
    folder = earlier(small_config())
    cfg = small_config(resume=str(folder.path))
    cfg.algo.ppo.learning_rate = 5e-5
    with pytest.raises(ConfigError, match=r"5e-05, was 0\.0001, but the run has adapted it"):
        start_run(cfg)


@pytest.mark.parametrize("damage", [b"", b"no checkpoint"])
def test_damaged_checkpoint_is_set_aside_for_the_one_before(damage: bytes, capsys):
    folder = earlier(small_config(run_dir="mine"))
    save(folder, 20)
    folder.last.write_bytes(damage)
    start = start_run(small_config(run_dir="mine", resume="auto"))
    assert start.iteration == 10
    assert checkpoint.load(folder.last)["iteration"] == 10
    names = {path.name for path in folder.last.parent.iterdir()}
    assert names == {"last.pt", "last.pt.damaged-1"}
    assert "continuing from mine/checkpoints/last-1.pt instead" in capsys.readouterr().err


def test_run_goes_back_to_a_named_checkpoint():
    folder = earlier(small_config(run_dir="mine"))
    for iteration in (20, 30):
        save(folder, iteration)
    start = start_run(small_config(resume="mine/checkpoints/last-1.pt"))
    assert start.iteration == 20
    assert [checkpoint.load(path)["iteration"] for path in folder.checkpoints()] == [20, 10]
    assert checkpoint.load(folder.last.parent / "last.pt.left-1")["iteration"] == 30


def test_clock_that_jumps_back_does_not_choose_an_older_run():
    earlier(small_config(), age_s=0.0)
    newest = earlier(small_config(), age_s=1e6)  # by the clock it is older
    assert find_start(small_config(resume="auto")).folder.path.absolute() == newest.path
    os.rename(newest.path, newest.path.with_name("00000101-000000_seed0"))
    found = find_start(small_config(resume="auto")).folder
    assert found.path.name == "00000101-000000_seed0"


def test_looking_changes_nothing(tmp_path: Path):
    folder = earlier(small_config(), status="finished")
    save(folder, 20)
    folder.last.write_bytes(b"damaged")
    before = contents(tmp_path)
    find_start(small_config(resume="auto")).load()
    find_start(small_config())
    with pytest.raises(ConfigError):
        find_start(small_config(resume=str(folder.path), seed=3))
    assert contents(tmp_path) == before


def contents(root: Path) -> Dict[str, bytes]:
    return {str(p): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_named_run_of_another_shape_is_refused():
    folder = earlier(small_config())
    with pytest.raises(ConfigError, match=r"num_envs=8, was 4.*command\.txt"):
        start_run(small_config(resume=str(folder.path), num_envs=8))


def test_named_folder_without_checkpoint_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"resume=.*has no checkpoints/last\.pt"):
        start_run(small_config(resume=str(tmp_path)))


def test_two_folders_for_one_run_are_refused():
    folder = earlier(small_config())
    with pytest.raises(ConfigError, match=r"run_dir=elsewhere: leave it out"):
        start_run(small_config(resume=str(folder.path), run_dir="elsewhere"))


def test_differences_name_settings_that_only_one_side_has():
    changes = differences({"a": {"b": 1}, "seed": 0}, {"seed": 0, "c": None})
    assert changes == {"a.b": "a.b=(none), was 1", "c": "c=None, was (none)"}


def test_a_run_of_an_earlier_version_is_continued(tmp_path: Path):
    """It recorded settings of other ways of training, and lacks those that came since."""
    folder = earlier(small_config())
    saved = folder.read_config()
    assert saved is not None
    saved["algo"]["pql"], saved["algo"]["pbt"] = {"n_step": 3}, {"folder": None}
    for name in ("hooks", "own", "clip"):
        del saved["algo"][name]
    del saved["algo"]["ppo"]["advantage"]
    folder.config.write_text(OmegaConf.to_yaml(saved))
    assert differences(folder.read_config() or {}, as_recorded(small_config())) == {}
    assert start_run(small_config(resume="auto")).folder.path == folder.path
    changed = small_config()
    changed.algo.ppo.advantage = "mine"
    assert differences(folder.read_config() or {}, as_recorded(changed)) == {
        "algo.ppo.advantage": "algo.ppo.advantage=mine, was gae"
    }
