from __future__ import annotations

import pytest

from tasks.config import check
from tasks.engines.config import AutoCfg
from tests.tasks.allegro_kuka.doubles import task_cfg

ALLEGRO_KUKA = (
    "AllegroKukaRegrasping",
    "AllegroKukaReorientation",
    "AllegroKukaTwoArmsRegrasping",
    "AllegroKukaTwoArmsReorientation",
)


@pytest.mark.parametrize("name", ALLEGRO_KUKA)
def test_task_file_composes_and_passes_the_check(name: str) -> None:
    cfg = task_cfg(name)
    check(cfg, AutoCfg())
    assert cfg.name == name
    assert cfg.num_arms == (2 if "TwoArms" in name else 1)
    assert cfg.subtask == ("regrasping" if "Regrasping" in name else "reorientation")
    assert cfg.episode_length == (400 if cfg.subtask == "regrasping" else 600)
    assert cfg.success_hold_steps == (30 if cfg.subtask == "regrasping" else 1)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("subtask=regrasp", "did you mean 'regrasping'"),
        ("num_arms=3", "task.num_arms=3 .*use 1 or 2"),
        ("episode_length=1", "task.episode_length=1 .*at least 2"),
        ("success_hold_steps=0", "task.success_hold_steps=0"),
        ("objects.sets=[stick]", "did you mean 'sticks'"),
        ("objects.sets=[]", "randomize_dimensions=false"),
        ("curriculum.target_tolerance_m=0.1", "initial_tolerance_m = 0.075"),
        ("curriculum.factor=1.0", r"use a value in \(0, 1\)"),
        ("force.min_probability=0.5", "max_probability = 0.1"),
        ("force.scale=-1", "task.force.scale=-1"),
        ("reset.hand=2.0", r"task.reset.hand=2.0 .*share in \[0, 1\]"),
    ],
)
def test_check_names_setting_value_and_way_out(override: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(task_cfg("AllegroKukaRegrasping", override), AutoCfg())
