from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("mujoco")

from tasks import registry
from tasks.allegro_kuka import rendering
from tasks.allegro_kuka.task import AllegroKuka
from tasks.engines.config import IsaacGymCfg, MujocoCfg
from tasks.probes.config import ProbeCfg
from tests.composed import composed
from tests.tasks.allegro_kuka.doubles import CFG
from tests.tasks.opengl import needs_opengl

TASKS = sorted(path.stem for path in (CFG / "task").glob("AllegroKuka*.yaml"))


def make(task: str, num_envs: int = 1) -> AllegroKuka:
    cfg = composed(f"task={task}", "engine=mujoco")
    env = registry.make(cfg.task, cfg.engine, num_envs, torch.device("cpu"), 0)
    assert isinstance(env, AllegroKuka)
    return env


def blue(picture: np.ndarray) -> np.ndarray:
    """Where the manipulated box is."""
    red, green, blue = (picture[..., i].astype(int) for i in range(3))
    return (blue > red + 60) & (blue > green + 30)


def green(picture: np.ndarray) -> np.ndarray:
    """Where the goal is."""
    red, green, blue = (picture[..., i].astype(int) for i in range(3))
    return (green > red + 30) & (green > blue + 15)


def orange(picture: np.ndarray) -> np.ndarray:
    """Where the odd links of the robots are."""
    return (picture[..., 0].astype(int) > picture[..., 2].astype(int) + 90) & (
        picture[..., 1] < 0.75 * picture[..., 0]
    )


@needs_opengl
@pytest.mark.parametrize("task", TASKS)
def test_picture_shows_robot_object_and_goal_inside_its_frame(task: str):
    env = make(task)
    env.reset()
    renderer = rendering.make_renderer(env, 200, 150)
    picture = renderer.draw(0)
    renderer.close()
    env.close()
    for seen in (orange(picture), blue(picture), green(picture)):
        assert seen.sum() > 3
        edge = np.concatenate([seen[0], seen[-1], seen[:, 0], seen[:, -1]])
        assert not edge.any()


@needs_opengl
def test_every_world_is_drawn_with_its_own_object_and_goal():
    env = make("AllegroKukaReorientation", 2)
    env.reset()
    assert not torch.equal(env.object_scale[0], env.object_scale[1])
    env.sim.goal_pose[:, :3] = torch.tensor([[-0.3, 0.1, 0.9], [0.3, 0.1, 0.9]])
    renderer = rendering.make_renderer(env, 160, 120)
    pictures = [renderer.draw(i) for i in (0, 1)]
    assert np.array_equal(renderer.draw(0), pictures[0])
    renderer.close()
    centres = [green(picture).nonzero()[1].mean() for picture in pictures]
    assert abs(centres[0] - centres[1]) > 20
    assert blue(pictures[0]).sum() != blue(pictures[1]).sum()


@needs_opengl
def test_point_goals_wear_a_halo_that_shrinks_with_the_tolerance():
    env = make("AllegroKukaRegrasping")
    env.reset()
    env.sim.goal_pose[0, :3] = torch.tensor([0.3, -0.2, 0.9])
    areas = []
    for tolerance_m in (0.075, 0.0375):
        env.hold_level(tolerance_m)
        renderer = rendering.make_renderer(env, 320, 240)
        picture = renderer.draw(0).astype(int)
        renderer.close()
        areas.append((picture[..., 1] > picture[..., 0] + 8).sum())
    # Half the radius, a quarter of the area; the small ball in the middle is always there.
    assert areas[0] / areas[1] == pytest.approx(4, rel=0.2)
    assert rendering.success_radius(env) == pytest.approx(1.5 * 0.0375)
    assert rendering.success_radius(make("AllegroKukaReorientation")) == 0


@needs_opengl
def test_drawing_does_not_touch_the_physics():
    states = []
    for is_drawn in (False, True):
        env = make("AllegroKukaReorientation", 2)
        env.reset()
        renderer = rendering.make_renderer(env, 64, 64) if is_drawn else None
        for _ in range(5):
            env.step(torch.full((2, 23), 0.3))
            if renderer is not None:
                renderer.draw(1)
        states.append(env.sim.state_dict()["rows"])
    assert torch.equal(*states)


def test_goal_corners_enclose_goals_on_both_sides():
    corners = rendering.goal_corners(composed("task=AllegroKukaTwoArmsReorientation").task)
    # x: +-(0.75 + 0.2), y: +-0.5, z: 0.68 to 1.05, each with a margin of 8 cm.
    assert corners.min(axis=0) == pytest.approx([-1.03, -0.58, 0.6])
    assert corners.max(axis=0) == pytest.approx([1.03, 0.58, 1.13])
    assert len(corners) == 16


@pytest.mark.parametrize(
    ("task", "engine", "message"),
    [
        (ProbeCfg(name="ProbeReach"), MujocoCfg(), "task=ProbeReach .*no picture"),
        (
            composed("task=AllegroKukaRegrasping").task,
            IsaacGymCfg(),
            "engine=isaacgym .*use engine=mujoco",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(task: Any, engine: Any, message: str):
    with pytest.raises(ValueError, match=message):
        registry.of(task).prepare_drawing(task, engine)
