from __future__ import annotations

from typing import List, Optional

import pytest
import torch

pytest.importorskip("mujoco")

from epo.envs import CurriculumEnv
from tasks import registry
from tasks.allegro_kuka.task import AllegroKuka
from tests.composed import composed


def episode_length(*settings: str) -> Optional[int]:
    task = composed(*settings).task
    return registry.of(task).episode_length(task)


def make() -> AllegroKuka:
    cfg = composed("engine=mujoco")
    # Due at every step.
    cfg.task.curriculum.interval_steps, cfg.task.curriculum.min_successes = 1, 0.0
    env = registry.make(cfg.task, cfg.engine, 1, torch.device("cpu"), 0)
    assert isinstance(env, AllegroKuka) and isinstance(env, CurriculumEnv)
    assert env.target_level == 0.01
    env.reset()
    return env


def tolerance_after_a_step(env: AllegroKuka) -> float:
    return float(env.step(torch.zeros(1, 23)).scalars["success_tolerance"])


def test_tolerance_is_held_where_the_curriculum_would_tighten_it():
    assert tolerance_after_a_step(make()) == pytest.approx(0.0675)  # 0.9 * 0.075
    env = make()
    assert env.hold_level(None) == pytest.approx(0.075)
    assert tolerance_after_a_step(env) == pytest.approx(0.075)


def test_tolerance_can_be_chosen_and_fitness_knows_the_progress():
    env = make()
    assert env.hold_level(0.0425) == pytest.approx(0.0425)
    step = env.step(torch.zeros(1, 23))
    assert float(step.scalars["success_tolerance"]) == pytest.approx(0.0425)
    # No success; half of the way from 0.075 to 0.01.
    assert float(step.metrics["fitness"]) == pytest.approx(0.5)


def test_tasks_without_curriculum_stay_as_they_are():
    cfg = composed("task=ProbeReach")
    env = registry.make(cfg.task, cfg.engine, 1, torch.device("cpu"), 0)
    assert not isinstance(env, CurriculumEnv)


def test_episode_length_is_the_tasks():
    assert episode_length("task.episode_length=300") == 300
    assert episode_length("task=ProbeReach") == 50


def test_every_success_makes_an_episode_longer():
    def longest(*settings: str) -> Optional[int]:
        task = composed(*settings).task
        return registry.of(task).longest_episode(task)

    assert longest("task.episode_length=300", "task.max_successes=7") == 2100
    assert longest("task=ProbeReach") == 50


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        (["task.frame_skip=8"], 125),  # 999 steps of the environment
        (["task.max_episode_steps=20", "task.frame_skip=8"], 3),
        (["task.env_id=tests.tasks.gymnasium.toys:Counting-v0"], None),
    ],
)
def test_episode_length_of_gymnasium_is_its_time_limit_in_control_steps(
    settings: List[str], steps: Optional[int]
):
    pytest.importorskip("gymnasium")
    base = ["task=Gymnasium", "task.env_id=MountainCarContinuous-v0"]
    assert episode_length(*base, *settings) == steps
