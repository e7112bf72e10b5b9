from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("optuna")

from epo.cli import environment
from launch.tune import report, storage
from launch.tune.definition import RangeCfg, TuneCfg, load
from launch.tune.report import Confirmation


def test_preset_composes_what_was_found(tmp_path: Path):
    tune, path = load("pendulum"), tmp_path / "p.yaml"
    values = {"algo.ppo.gamma": 0.9, "algo.ppo.num_epochs": 7}
    report.write_preset(path, tune, values)
    text = path.read_text()
    assert text.startswith("# @package _global_\n") and "record" not in text
    assert "- override /task: Pendulum" in text and "gamma: 0.9" in text
    assert f"max_frames: {tune.max_frames}" in text


@pytest.mark.parametrize("path", sorted((environment.CONFIG_DIR / "experiment/tune").glob("*")))
def test_presets_that_were_found_compose(path: Path):
    (cfg,) = environment.configurations([f"experiment=tune/{path.stem}"])
    assert cfg.max_frames


def test_page_shows_settings_gain_and_pictures(tmp_path: Path):
    tune = TuneCfg("T", ["a=b"], 100, 5, {"x": RangeCfg(0.0, 1.0), "y": RangeCfg(choices=[1, 2])})
    study = storage.open_study(tune, tmp_path, {})
    for i in range(5):
        trial = study.ask(storage.distributions(tune))
        trial.report(0.1 * i, 50)
        study.tell(trial, 0.1 * i)
    study.ask(storage.distributions(tune))  # it still runs, and does not count
    runs = Confirmation([101, 102, 103], [1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    report.write_page(
        tmp_path / "page", "t", tune, study, {"x": 0.25, "y": 7}, runs, "the command", "A machine."
    )
    page = (tmp_path / "page" / report.README).read_text()
    # Means 5 and 2; variances 1, 1: t = 3 / sqrt(2/3) = 3.674, df 4, p = 0.0213.
    assert "+3 `leader/episode_return` (Welch p = 0.0213)" in page
    assert "| `y` | 1, 2 | 7 | " in page and "5 trials (5 complete)" in page
    assert "Trial 4 is the best: 0.4" in page
    assert len((tmp_path / "page" / report.TRIALS).read_text().splitlines()) == 6
    for name in ("history", "curves", "slices", "importance"):
        assert (tmp_path / "page" / f"{name}.png").stat().st_size > 1000
