from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

import pytest
import torch

from tasks import registry
from tasks.engines.config import IsaacGymCfg
from tasks.isaacgym import walls
from tests.tasks.allegro_kuka.doubles import task_cfg

NUM = 3


def make(wall: str) -> Any:
    cfg = task_cfg(f"AllegroKukaTwoArmsReorientation{wall.capitalize()}")
    return registry.make(cfg, IsaacGymCfg(), NUM, torch.device("cpu"), 0)


def wall_actors(env: Any) -> List[Dict[str, Any]]:
    return [actor for actor in env.env.gym.actors if actor["name"].startswith("wall")]


def test_hole_is_two_fixed_boxes_as_in_the_epo_fork(isaacgym: Path) -> None:
    env = make("hole")
    actors = wall_actors(env)
    assert len(actors) == 2 * NUM
    low, high = actors[:2]
    assert low["asset"]["size"] == (0.05, 0.4, 0.3) and low["xyz"] == (0.0, 0.0, 0.65)
    assert high["asset"]["size"] == (0.05, 0.4, 1.0) and high["xyz"] == (0.0, 0.0, 1.5)
    for actor in actors:
        # In the group of its own environment, filtered against nothing: it blocks everything.
        assert (actor["group"], actor["filter"]) == (actor["env"], 0)
        assert actor["asset"]["options"].fix_base_link
    assert env.env.added_bodies == (3, 3)


def test_barrier_is_the_hole_closed(isaacgym: Path) -> None:
    (actor, *_) = wall_actors(make("barrier"))
    height, centre = actor["asset"]["size"][2], actor["xyz"][2]
    assert (centre - height / 2, centre + height / 2) == (0.5, 2.0)


def test_partition_is_free_and_weighs_half_a_kilogram(isaacgym: Path) -> None:
    (actor, *_) = wall_actors(make("partition"))
    options, (x, y, z) = actor["asset"]["options"], actor["asset"]["size"]
    assert not options.fix_base_link and not options.disable_gravity
    assert options.density * x * y * z == pytest.approx(0.5)


def test_partition_stands_up_again_at_an_episode_but_not_at_a_goal(isaacgym: Path) -> None:
    env = make("partition")
    env.reset()
    env.step(torch.zeros(NUM, 46))
    gym, indices = env.env.gym, env.env.movable_wall_indices
    fallen = torch.tensor([0.3, 0.0, 0.56, 0.0, 0.7, 0.0, 0.7] + [0.1] * 6)
    gym.root[indices] = fallen
    env.env.script_success[0] = True  # A new goal for the first,
    gym.root[env.env.object_indices[1], 9] = -100.0  # a new episode for the second.
    env.step(torch.zeros(NUM, 46))
    env.env.script_success[0] = False
    env.step(torch.zeros(NUM, 46))
    upright = torch.tensor([0.0, 0.0, 0.681, 0.0, 0.0, 0.0, 1.0] + [0.0] * 6)
    for i, expected in enumerate((fallen, upright, fallen)):
        torch.testing.assert_close(gym.root[indices[i]], expected, rtol=0, atol=0)


def test_walls_are_those_of_the_mujoco_engines() -> None:
    pytest.importorskip("mujoco", minversion="4.0")
    from tasks.allegro_kuka import walls as mujoco_walls

    assert (walls.THICKNESS_M, walls.WIDTH_M) == (
        2 * mujoco_walls.HALF_THICKNESS_M,
        2 * mujoco_walls.HALF_WIDTH_M,
    )
    for name, ends in mujoco_walls.FIXED.items():
        ours = [
            (w.centre_m - w.height_m / 2, w.centre_m + w.height_m / 2) for w in walls.WALLS[name]
        ]
        assert [pytest.approx(end) for end in ends] == ours
    (partition,) = walls.WALLS["partition"]
    assert partition.centre_m == mujoco_walls.PARTITION_START[2]
    assert partition.height_m == 2 * mujoco_walls.PARTITION_HALF_HEIGHT_M
    assert partition.mass == mujoco_walls.PARTITION_MASS
