"""Overrides that change sizes or meaning are named, before the simulator exists if possible."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tasks import registry
from tasks.engines.config import IsaacGymCfg
from tasks.isaacgym import checks
from tasks.isaacgym import env as module
from tests.tasks.allegro_kuka.doubles import task_cfg
from tests.tasks.isaacgym.double import TaskDouble


def make(*overrides: str, task: str = "AllegroKukaReorientation", verify: bool = True) -> Any:
    engine = IsaacGymCfg(overrides=list(overrides), verify=verify)
    return registry.make(task_cfg(task), engine, 6, torch.device("cpu"), 0)


@pytest.mark.parametrize(
    ("override", "way_out"),
    [
        ("task.env.clampAbsObservations=5.0", "counts on 10.0; leave it out, or engine.verify"),
        ("+task.env.clipObservations=5", "counts on 10.0 or more; leave it out"),
        ("++task.env.clipActions=0.5", "counts on 1.0 or more; leave it out"),
        ("task.env.useRelativeControl=True", "counts on False; leave it out"),
        ("task.env.observationType=no_vel", "counts on full_state; leave it out"),
        ("task.env.objectType=ball", "counts on block; leave it out"),
        ("task.env.objectBaseSize=0.06", "counts on 0.05; leave it out"),
        ("task.env.keypointScale=1.0", "counts on 1.5; set task.keypoint_scale instead"),
        ("task.task.randomize=True", "counts on False; leave it out"),
        ("task.env.numEnvs=12", "counts on 6; set num_envs instead"),
        ("task/env=throw", "counts on reorientation; set task instead"),
    ],
)
def test_override_that_changes_the_meaning_is_named_before_the_simulator(
    isaacgym: Path, override: str, way_out: str
) -> None:
    with pytest.raises(ValueError, match=r"^engine.overrides=\['") as error:
        make("task.sim.physx.num_threads=2", override)
    assert override in str(error.value) and way_out in str(error.value)
    assert "urdf" not in str(error.value)
    assert not module._Process.has_simulator


def test_override_that_is_no_cause_is_not_blamed(isaacgym: Path) -> None:
    with pytest.raises(ValueError, match="objectBaseSize") as error:
        make("task.sim.physx.num_threads=2", "task.env.objectBaseSize=0.06")
    assert "num_threads" not in str(error.value)


def test_fork_with_other_values_is_not_blamed_on_an_override(
    isaacgym: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(checks.BUILT_IN, "task.env.clampAbsObservations", 9.0)
    line = r"^engine=isaacgym .*clampAbsObservations=10.0 where 9.0 belongs"
    with pytest.raises(ValueError, match=line):
        make()


def test_unverified_engine_takes_another_meaning(isaacgym: Path) -> None:
    env = make("task.env.clampAbsObservations=5.0", verify=False)
    assert env.reset().isfinite().all()


@pytest.mark.parametrize(
    ("task", "found", "expected"),
    [("AllegroKukaRegrasping", 26, 23), ("AllegroKukaTwoArmsRegrasping", 49, 46)],
)
def test_other_number_of_actions_is_refused(
    isaacgym: Path, task: str, found: int, expected: int
) -> None:
    line = (
        r"^engine.overrides=\['task.env.privilegedActions=True'\] .*"
        rf"takes {found} actions where {expected} belong; leave it out"
    )
    with pytest.raises(ValueError, match=line):
        make("task.env.privilegedActions=True", task=task, verify=False)


def test_other_number_of_observations_is_refused() -> None:
    env = SimpleNamespace(
        num_envs=6, root_state_tensor=torch.zeros(24, 13), num_obs=120, num_actions=23
    )
    with pytest.raises(ValueError, match="observes 120 numbers where 117 belong; use isaac-sim"):
        checks.check_built(env, task_cfg("AllegroKukaReorientation"), IsaacGymCfg())


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("task.env.observationType=no_vel", "fails in make: Exception: Unknown type of obs"),
        ("task.env.useRelativeControl=True", "fails in the first step: NotImplementedError: Use"),
    ],
)
def test_what_isaacgymenvs_raises_is_one_line(isaacgym: Path, override: str, line: str) -> None:
    with pytest.raises(ValueError, match=line) as error:
        make(override, verify=False)
    assert str(error.value).startswith(f"engine.overrides=['{override}']")
    assert "\n" not in str(error.value)


def test_observation_that_differs_blames_the_overrides(
    isaacgym: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TaskDouble, "palm_sign", 0.5)
    line = r"^engine.overrides=\['task.env.dofSpeedScale=5'\] .*palm_position .*leave it out"
    with pytest.raises(ValueError, match=line):
        make("task.env.dofSpeedScale=5")
