from __future__ import annotations

from typing import Any, Dict, Tuple

import numpy as np
import pytest
import torch

from tasks import registry
from tasks.allegro_kuka import forces, goals, resets
from tasks.allegro_kuka.draws import RandomDraws
from tasks.allegro_kuka.geometry import random_quaternion
from tasks.allegro_kuka.objects import half_size, object_scales
from tasks.engines.config import AutoCfg
from tests.golden import golden
from tests.tasks.allegro_kuka.doubles import LOWER, UPPER, task_cfg, wxyz

TOLERANCE = 2e-6
ALL = slice(None)
GOAL_HEIGHT_M = 0.05  # Of the goal point above the bucket's origin.
FILES = {
    "one_arm_regrasping": (1, "regrasping"),
    "one_arm_reorientation": (1, "reorientation"),
    "one_arm_throw": (1, "throw"),
    "two_arms_regrasping": (2, "regrasping"),
    "two_arms_reorientation": (2, "reorientation"),
}


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=TOLERANCE)


def bucket_draws(at: Dict[str, torch.Tensor]) -> Tuple[torch.Tensor, torch.Tensor]:
    """Turn the original's draws of a bucket into places in our volume and sides."""
    side = at["u_bucket_side"][:, 0].sign()
    # The original draws how far out the bucket is, we where it is along x: opposite on the left.
    outward = at["u_bucket_x"] / 0.4
    x = torch.where(side[:, None] > 0, outward, 1.0 - outward)
    return torch.cat((x, (at["u_bucket_y"] + 1.0) / 1.7, at["u_bucket_z"]), dim=-1), side


@pytest.mark.parametrize("name", FILES)
def test_resets_equal_original_for_the_same_draws(name: str) -> None:
    num_arms, subtask = FILES[name]
    data = golden("allegro_kuka_resets.npz")
    prefix = f"{name}__"
    at = {
        key[len(prefix) :]: torch.from_numpy(value)
        for key, value in data.items()
        if key.startswith(prefix)
    }
    num = len(at["goal_pos"])

    def side(key: str) -> torch.Tensor:
        return at[key][:, 0].sign() if num_arms == 2 else torch.zeros(num)

    if subtask == "throw":
        u_goal_pos, goal_side = bucket_draws(at)
        close(at["bucket_pos"] + torch.tensor([0.0, 0.0, GOAL_HEIGHT_M]), at["goal_pos"])
    else:
        u_goal_pos, goal_side = at["u_goal_pos"], side("u_goal_side")
    u_goal = torch.cat((u_goal_pos, at.get("u_goal_quat", torch.zeros(num, 3))), dim=-1)
    goal = goals.goal_pose(u_goal, goal_side, num_arms, subtask)
    close(goal[:, :3], at["goal_pos"])
    close(goal[:, 3:], wxyz(at["goal_quat"].numpy()))
    spawn = resets.object_position(at["u_object_pos"], side("u_object_side"), 0.1, 0.02, num_arms)
    close(spawn, at["object_pos"])
    close(random_quaternion(at["u_object_quat"]), wxyz(at["object_quat"].numpy()))

    limits = golden(f"allegro_kuka_{name}.npz")
    lower, upper = (torch.from_numpy(limits[f"joint_{end}"]) for end in ("lower", "upper"))
    default = resets.default_posture(num_arms, torch.device("cpu"))
    close(default, at["joint_default"])
    noise = resets.joint_noise(num_arms, 0.1, 0.1, torch.device("cpu"))
    position = resets.joint_position(at["u_joint"], default, lower, upper, noise)
    close(position, at["joint_pos"])
    close(forces.hit_probability(at["u_force_prob"], 0.001, 0.1), at["force_prob"])


def draws_of(*overrides: str, num_envs: int = 947, name: str = "Reorientation") -> RandomDraws:
    cfg = task_cfg(f"AllegroKuka{name}", *overrides)
    scale = object_scales(cfg.objects.sets)[:num_envs]
    lower, upper = LOWER.repeat(cfg.num_arms), UPPER.repeat(cfg.num_arms)
    return RandomDraws(cfg, half_size(scale), lower, upper, torch.Generator().manual_seed(3))


def test_start_keeps_the_thumb_within_its_limit_only_if_clamped() -> None:
    assert (draws_of().start(ALL).joint_pos >= LOWER).all()
    thumb = draws_of("clamp_reset_joints=false").start(ALL).joint_pos[:, 19]
    # 0.1 x (0.279 + u x 1.421) lies in [0.0279, 0.17)
    assert thumb.min() >= 0.0279
    assert thumb.max() < 0.171


def test_start_velocities_go_both_ways() -> None:
    start = draws_of().start(ALL)
    assert start.joint_vel.abs().max() <= 0.5
    # 947 x 23 uniform draws in +-0.5: 5 standard errors of the mean are 0.0098.
    assert start.joint_vel.mean().abs() < 0.0098
    assert 0.28 < start.joint_vel.std() < 0.30  # 0.5 / sqrt 3 = 0.289
    assert start.force_probability.min() >= 0.001
    assert start.force_probability.max() <= 0.1


def test_spawns_clear_the_table_only_if_raised() -> None:
    def lowest(draws: RandomDraws) -> torch.Tensor:
        pose = draws.object_pose(ALL)
        half = resets.vertical_half_extent(pose[:, 3:], draws.half_size)
        return (pose[:, 2] - half).min()

    assert lowest(draws_of()) >= 0.53 + 0.005 - 1e-6
    assert lowest(draws_of("raise_spawn=false")) < 0.53


def test_spawns_lie_where_the_original_puts_them() -> None:
    one = draws_of("raise_spawn=false").object_pose(ALL)
    assert (one[:, :2].abs() <= 0.1).all()
    assert (one[:, 2] - 0.63).abs().max() <= 0.02 + 1e-6
    two = draws_of("raise_spawn=false", name="TwoArmsReorientation").object_pose(ALL)
    assert ((two[:, 0].abs() - 0.35).abs() <= 0.1 + 1e-6).all()
    # 947 fair coins: 5 standard errors are 0.081.
    assert abs((two[:, 0] > 0).float().mean() - 0.5) < 0.081


def at_object(name: str, num_envs: int, *overrides: str) -> Any:
    """Build and reset a task whose episodes begin with a hand around the 5 cm cube."""
    pytest.importorskip("mujoco")
    cube = ("reset.at_object=true", "objects.randomize_dimensions=false")
    env = registry.make(
        task_cfg(name, *cube, *overrides), AutoCfg(), num_envs, torch.device("cpu"), 0
    )
    env.reset()
    return env


def test_start_at_the_object_has_the_open_hand_around_it() -> None:
    still = ("reset.object_xy_m=0.01", "reset.joint_velocity=0")
    env = at_object("AllegroKukaRegrasping", 32, *still)
    object_pos = env.sim.object_pose[:, :3]
    assert torch.all((object_pos[:, 2] - 0.555).abs() < 1e-6)  # table 0.53 + half of 5 cm
    fingertips = env.sim.site_pos[:, 2:] - object_pos.unsqueeze(1)
    # Thumb and fingers are on opposite sides of the object in y, all within 12 cm, none below.
    assert torch.all(fingertips[:, 3, 1] > 0) and torch.all(fingertips[:, :3, 1] < 0)
    assert torch.all(fingertips.norm(dim=-1) < 0.12)
    assert torch.all(env.sim.site_pos[:, 2:, 2] > resets.TABLE_TOP_M)
    height = object_pos[:, 2].clone()
    for _ in range(10):  # nothing pushes the object away
        env.step(torch.zeros(32, 23))
    assert torch.all((env.sim.object_pose[:, 2] - height).abs() < 0.01)


def test_with_two_arms_the_object_stands_under_the_hand_on_its_side() -> None:
    env = at_object("AllegroKukaTwoArmsReorientation", 16, "reset.object_xy_m=0")
    object_pos = env.sim.object_pose[:, :3]
    is_right = object_pos[:, 0] > 0
    assert is_right.any() and not is_right.all()
    torch.testing.assert_close(object_pos[:, 0].abs(), torch.full((16,), 0.3))
    fingertips = env.sim.site_pos[:, 3:].view(16, 2, 4, 3)
    near = fingertips[torch.arange(16), is_right.long()] - object_pos[:, None]
    assert torch.all(near.norm(dim=-1) < 0.12)
    # The thumb is on the side of the base, which stands outside.
    outward = near[..., 0] * object_pos[:, :1].sign()
    assert torch.all(outward[:, 3] > 0) and torch.all(outward[:, :3] < 0)


@pytest.mark.parametrize("name", ["AllegroKukaRegrasping", "AllegroKukaTwoArmsRegrasping"])
def test_goals_are_drawn_from_a_share_of_their_volume(name: str) -> None:
    whole = draws_of(name=name.replace("AllegroKuka", "")).goal_pose(ALL)[:, :3]
    part = draws_of("goal_extent=0.25", name=name.replace("AllegroKuka", "")).goal_pose(ALL)[:, :3]
    sides = whole[:, 0].sign() if "Two" in name else torch.ones(len(whole))
    for column in range(3):
        for side in sides.unique():
            one, other = (x[sides == side, column] for x in (whole, part))
            middle = (one.max() + one.min()) / 2
            torch.testing.assert_close(other - middle, 0.25 * (one - middle), atol=0.005, rtol=0)


def test_draws_resume_from_their_state() -> None:
    draws = draws_of(num_envs=5)
    draws.start(ALL)
    state = draws.state_dict()
    expected = draws.object_pose(ALL), draws.goal_pose(ALL), draws.force(torch.full((5,), 0.5))[1]
    draws.load_state_dict(state)
    again = draws.object_pose(ALL), draws.goal_pose(ALL), draws.force(torch.full((5,), 0.5))[1]
    for one, other in zip(expected, again, strict=True):
        assert np.array_equal(one.numpy(), other.numpy())
