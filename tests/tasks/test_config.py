from __future__ import annotations

import pytest

from tasks.allegro_kuka.family import FAMILY
from tasks.engines.config import AutoCfg
from tasks.gymnasium.config import GymnasiumCfg
from tasks.gymnasium.interface import interface
from tasks.interface import Interface
from tasks.registry import check
from tests.tasks.allegro_kuka.doubles import task_cfg

# Subtask, arms, wall; control steps per goal and near it; farthest fingertip from the object, m.
FAR = float("inf")
ALLEGRO_KUKA = {
    "AllegroKukaRegrasping": ("regrasping", 1, "none", 400, 30, FAR),
    "AllegroKukaReorientation": ("reorientation", 1, "none", 600, 1, 1.5),
    "AllegroKukaThrow": ("throw", 1, "none", 300, 5, FAR),
    "AllegroKukaTwoArmsRegrasping": ("regrasping", 2, "none", 400, 30, FAR),
    "AllegroKukaTwoArmsReorientation": ("reorientation", 2, "none", 600, 1, FAR),
    "AllegroKukaTwoArmsReorientationPartition": ("reorientation", 2, "partition", 600, 1, FAR),
    "AllegroKukaTwoArmsReorientationHole": ("reorientation", 2, "hole", 600, 1, FAR),
    "AllegroKukaTwoArmsReorientationBarrier": ("reorientation", 2, "barrier", 600, 1, FAR),
}


@pytest.mark.parametrize("name", ALLEGRO_KUKA)
def test_task_file_composes_and_passes_the_check(name: str) -> None:
    cfg = task_cfg(name)
    check(cfg, AutoCfg())
    assert cfg.name == name
    assert (
        cfg.subtask,
        cfg.num_arms,
        cfg.wall,
        cfg.episode_length,
        cfg.success_hold_steps,
        cfg.max_hand_distance_m,
    ) == ALLEGRO_KUKA[name]
    is_throw, two_arms = cfg.subtask == "throw", cfg.num_arms == 2
    assert cfg.arm_action == ("absolute" if two_arms else "delta")
    assert cfg.reward.fingertip_after_lifting == two_arms
    assert (cfg.reward.arm_penalty == 0 and cfg.reward.hand_penalty == 0) == two_arms
    assert cfg.force.scale == (0.0 if is_throw else 2.0)
    assert cfg.curriculum.target_tolerance_m == (0.075 if is_throw else 0.01)
    assert len(cfg.objects.sets) == (1 if is_throw else 3)


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
        ("goal_extent=1.5", r"task.goal_extent=1.5 .*share in \[0, 1\]"),
        ("wall=door", "task.wall='door'"),
        ("wall=hole", "task.wall=hole.*task.num_arms=2"),
    ],
)
def test_check_names_setting_value_and_way_out(override: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(task_cfg("AllegroKukaRegrasping", override), AutoCfg())


def test_a_throw_cannot_succeed_in_the_hand() -> None:
    with pytest.raises(
        ValueError, match=r"task.success_in_hand=True.*use false, with task.max_hand"
    ):
        check(task_cfg("AllegroKukaThrow", "success_in_hand=true"), AutoCfg())


def test_interface_of_an_environment_is_known_without_a_run() -> None:
    pytest.importorskip("Box2D")
    kwargs = {"continuous": False}
    found = interface(GymnasiumCfg(env_id="CarRacing-v3", kwargs=kwargs))
    assert found == Interface("CarRacing-v3", (5,), (4, 84, 84))
    lander = "LunarLanderContinuous-v3"
    assert interface(GymnasiumCfg(env_id=lander)) == Interface(lander, (), None)


def test_interface_of_other_tasks_needs_no_environment() -> None:
    assert FAMILY.interface(task_cfg("AllegroKukaRegrasping")) is None
