from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, Iterator, Tuple

import pytest

from tasks import registry
from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.engines.config import IsaacGymCfg
from tasks.isaacgym import settings
from tests.tasks.allegro_kuka.doubles import CFG, task_cfg

ALLEGRO_KUKA = sorted(path.stem for path in (CFG / "task").glob("AllegroKuka*.yaml"))


def leaves(cfg: Any, prefix: str = "") -> Iterator[Tuple[str, Any]]:
    for item in fields(cfg):
        value = getattr(cfg, item.name)
        if is_dataclass(value):
            yield from leaves(value, f"{prefix}{item.name}.")
        else:
            yield f"{prefix}{item.name}", value


def test_every_setting_of_the_task_stands_in_one_table() -> None:
    one_arm = [*settings.KEYS, *settings.ONE_ARM_KEYS, *settings.COMBINED_FROM, *settings.FIXED]
    two_arms = [*settings.KEYS, *settings.FIXED_TWO_ARMS, *settings.COMBINED_FROM, *settings.FIXED]
    names = {name for name, _ in leaves(AllegroKukaCfg())}
    expected = {name for name in names if not name.startswith(settings.WITHOUT_EFFECT)}
    for table in (one_arm, two_arms):
        table += [*settings.CHOOSE_TASK, *settings.CORRECTIONS]
        assert sorted(table) == sorted(expected)


@pytest.mark.parametrize("name", ALLEGRO_KUKA)
def test_every_task_file_passes_the_check(name: str) -> None:
    registry.check(task_cfg(name), IsaacGymCfg())


@pytest.mark.parametrize(
    ("task", "override", "message"),
    [
        (
            "AllegroKukaReorientation",
            "randomize=[all]",
            r"task.randomize=\['all'\] .*randomize=\[\]",
        ),
        ("AllegroKukaReorientation", "reset.at_object=true", "task.reset.at_object=True"),
        ("AllegroKukaReorientation", "max_hand_distance_m=2", "max_hand_distance_m=2.0 .*=1.5"),
        ("AllegroKukaRegrasping", "max_hand_distance_m=1.5", "max_hand_distance_m=1.5 .*=inf"),
        ("AllegroKukaRegrasping", "arm_action=absolute", "arm_action=absolute .*=delta"),
        ("AllegroKukaRegrasping", "objects.density=300", "objects.density=300.0 .*=400.0"),
        ("AllegroKukaRegrasping", "consecutive_hold=true", "task.consecutive_hold=True"),
        ("AllegroKukaRegrasping", "same_shapes_per_block=true", "same_shapes_per_block=True"),
        ("AllegroKukaRegrasping", "curriculum.min_successes=2", "min_successes=2.0 .*=3.0"),
        ("AllegroKukaTwoArmsRegrasping", "arm_action=delta", "arm_action=delta .*=absolute"),
        ("AllegroKukaTwoArmsRegrasping", "reward.arm_penalty=0.1", "arm_penalty=0.1 .*=0.0"),
        ("AllegroKukaTwoArmsRegrasping", "wall=hole", "task.wall=hole .*reorientation"),
        ("AllegroKukaTwoArmsReorientationPartition", "observe_wall=true", "observe_wall=True"),
    ],
)
def test_check_refuses_what_the_original_cannot_do(task: str, override: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"{message}.*engine=mujoco_warp"):
        registry.check(task_cfg(task, override), IsaacGymCfg())


def test_settings_become_the_keys_of_isaacgymenvs() -> None:
    cfg = task_cfg(
        "AllegroKukaRegrasping",
        "reset.object_xy_m=0.2",
        "force.max_probability=0.5",
        "objects.sets=[sticks]",
        "reward.arm_penalty=0.1",
    )
    values = settings.values(cfg)
    assert values["episodeLength"] == 400
    assert values["resetPositionNoiseX"] == values["resetPositionNoiseY"] == 0.2
    assert values["forceProbRange"] == [0.001, 0.5]
    assert (values["withSticks"], values["withBigCuboids"]) == (True, False)
    assert values["kukaActionsPenaltyScale"] == 0.1


def test_two_arm_settings_leave_out_keys_that_the_task_does_not_read() -> None:
    values = settings.values(task_cfg("AllegroKukaTwoArmsRegrasping"))
    assert "kukaActionsPenaltyScale" not in values
    assert "dofSpeedScale" not in values


def test_notes_name_the_corrections_without_effect() -> None:
    (note,) = settings.notes(task_cfg("AllegroKukaRegrasping", "raise_spawn=false"))
    assert note == ("no effect on engine=isaacgym: task.clamp_reset_joints, task.own_mass_force")
    original = [f"{name}=false" for name in settings.CORRECTIONS]
    assert settings.notes(task_cfg("AllegroKukaRegrasping", *original)) == []


def test_notes_name_the_settings_that_an_override_replaces() -> None:
    cfg = task_cfg("AllegroKukaRegrasping", *[f"{name}=false" for name in settings.CORRECTIONS])
    lines = ["task.sim.dt=0.01", "task.env.episodeLength=7", "++task.env.resetPositionNoiseX=0"]
    assert settings.notes(cfg, lines) == [
        "engine.overrides: task.env.episodeLength=7 replaces task.episode_length",
        "engine.overrides: ++task.env.resetPositionNoiseX=0 replaces task.reset.object_xy_m",
    ]
