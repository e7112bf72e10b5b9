"""When an object counts as held."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tasks.allegro_kuka.geometry import keypoint_points, measure, read, site_points
from tasks.allegro_kuka.holding import is_held
from tasks.allegro_kuka.task import AllegroKuka
from tests.tasks.allegro_kuka.doubles import StillSim, still_env, task_cfg

HALF = 0.025


def held(sim: Any) -> Tensor:
    half_size = torch.full((sim.num_envs, 3), HALF)
    state = read(sim, slice(None))
    geometry = measure(
        state,
        sim.goal_pose,
        site_points(sim.num_arms, sim.device),
        keypoint_points("regrasping", half_size, 1.5),
    )
    return is_held(state, geometry, half_size)


def in_hand(num_arms: int = 1, arm: int = 0) -> StillSim:
    """Three worlds whose object is 5 cm below the palm centre of one arm, the others far away."""
    sim = StillSim(3, num_arms)
    sim.site_pos[:, 1:] = torch.tensor([5.0, 0.0, 1.0])
    sim.site_pos[:, 0] = torch.tensor([0.1, 0.0, 0.75])
    # The palm centre lies at (0, -0.02, 0.16) in the frame of its link.
    sim.site_pos[:, 1 + arm] = torch.tensor([0.1, 0.02, 0.64])
    return sim


@pytest.mark.parametrize(("num_arms", "arm"), [(1, 0), (2, 0), (2, 1)])
def test_an_object_at_rest_in_a_hand_is_held(num_arms: int, arm: int) -> None:
    assert held(in_hand(num_arms, arm)).all()


def test_an_object_near_the_table_is_not_held() -> None:
    sim = in_hand()
    # The centre of a flat cube 20 mm above the table is at 0.53 + 0.02 + 0.025.
    height = torch.tensor([0.574, 0.576, 0.576])
    sim.site_pos[:, 0, 2], sim.site_pos[:, 1, 2] = height, height - 0.11
    turn = torch.tensor(torch.pi / 8)  # On its edge it reaches 10 mm further down.
    sim.site_quat[2, 0] = torch.stack((turn.cos(), turn.sin(), turn * 0, turn * 0))
    assert held(sim).tolist() == [False, True, False]


def test_an_object_far_from_every_palm_is_not_held() -> None:
    sim = in_hand()
    sim.site_pos[:, 0, 0] += torch.tensor([0.0, 0.14, 0.15])
    assert held(sim).tolist() == [True, True, False]


def test_an_object_that_slips_or_flies_is_not_held() -> None:
    sim = in_hand()
    sim.site_linvel[:, 0, 2] = torch.tensor([0.19, 0.21, -3.0])
    assert held(sim).tolist() == [True, False, False]


def test_an_object_that_moves_with_the_hand_is_held() -> None:
    sim = in_hand()
    sim.site_linvel[:, :2] = torch.tensor([2.0, 0.0, 1.0])  # both
    assert held(sim).all()
    # The hand turns about its own frame, 11 cm below the object and 2 cm beside it: w x r.
    sim.site_angvel[:, 1] = torch.tensor([5.0, 0.0, 0.0])
    assert not held(sim).any()
    sim.site_linvel[:, 0] += torch.tensor([0.0, -5.0 * 0.11, 5.0 * -0.02])
    assert held(sim).all()


def carried(*overrides: str) -> AllegroKuka:
    """Two worlds after their reset: the palm of the first follows the object, the other's not."""
    cfg = task_cfg("AllegroKukaRegrasping", "force.scale=0", "success_hold_steps=2", *overrides)
    env = still_env(cfg, 2)
    env.reset()
    carry(env)
    return env


def carry(env: AllegroKuka) -> None:
    """Teleport the objects to their goals, and one hand with them."""
    assert isinstance(env.sim, StillSim)
    env.sim.move_object(env.goal_pose)
    env.sim.site_pos[0, 1] = env.goal_pose[0, :3] + torch.tensor([0.0, 0.02, -0.11])
    env.sim.site_pos[1, 1] = torch.tensor([5.0, 0.0, 1.0])


@pytest.mark.parametrize(("setting", "successes"), [("false", [1.0, 1.0]), ("true", [1.0, 0.0])])
def test_success_in_hand_counts_held_steps_only(setting: str, successes: list) -> None:
    env = carried(f"success_in_hand={setting}")
    env.step(torch.zeros(2, 23))
    step = env.step(torch.zeros(2, 23))
    assert step.metrics["successes"].tolist() == successes


def test_holding_is_paid_and_its_share_of_the_episode_is_measured() -> None:
    env = carried("reward.hold=2", "success_hold_steps=100")
    env.step(torch.zeros(2, 23))
    assert env.terms[-1].tolist() == [2.0, 0.0]
    env.sim.site_pos[0, 1] += 1.0
    env.step(torch.zeros(2, 23))
    carry(env)
    step = env.step(torch.zeros(2, 23))
    torch.testing.assert_close(step.metrics["held"], torch.tensor([2 / 3, 0.0]))
    env.restart(slice(None), torch.ones(2).bool(), torch.ones(2).bool())
    assert env.episode.steps.tolist() == env.episode.held_steps.tolist() == [0, 0]
