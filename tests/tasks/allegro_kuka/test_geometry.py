from __future__ import annotations

import math

import torch

from tasks.allegro_kuka.geometry import (
    keypoint_points,
    random_quaternion,
    rotate,
    vertical_half_extent,
)

HALF = math.sqrt(0.5)


def test_rotate_turns_x_to_y_about_z() -> None:
    quat = torch.tensor([[HALF], [0.0], [0.0], [HALF]])
    turned = rotate(quat, torch.tensor([[1.0], [0.0], [0.0]]))
    torch.testing.assert_close(turned, torch.tensor([[0.0], [1.0], [0.0]]), rtol=0, atol=1e-6)


def test_rotations_are_uniform() -> None:
    u = torch.rand(20000, 3, generator=torch.Generator().manual_seed(0))
    quat = random_quaternion(u)
    torch.testing.assert_close(quat.norm(dim=-1), torch.ones(20000))
    # A turned axis points anywhere: mean 0, mean square 1/3; 5 standard errors are 0.021.
    turned = rotate(quat.T, torch.tensor([[0.0], [0.0], [1.0]]))
    assert turned.mean(-1).abs().max() < 0.021
    assert (turned.square().mean(-1) - 1 / 3).abs().max() < 0.021


def test_vertical_half_extent_of_a_turned_box() -> None:
    half_size = torch.tensor([[0.1, 0.2, 0.3]]).repeat(2, 1)
    # Upright: 0.3. Turned by 45 degrees about x: (0.2 + 0.3) cos 45 deg.
    eighth = math.pi / 8
    quat = torch.tensor([[1.0, 0.0, 0.0, 0.0], [math.cos(eighth), math.sin(eighth), 0.0, 0.0]])
    expected = torch.tensor([0.3, 0.5 * HALF])
    torch.testing.assert_close(vertical_half_extent(quat, half_size), expected)


def test_keypoints_of_the_base_cube_lie_outside_its_corners() -> None:
    points = keypoint_points("reorientation", torch.full((1, 3), 0.025), 1.5)
    assert points.shape == (4, 3, 1)
    # 1.5 x 0.025 = 0.0375 m
    torch.testing.assert_close(points.abs(), torch.full((4, 3, 1), 0.0375))
    assert keypoint_points("regrasping", torch.full((1, 3), 0.025), 1.5).abs().max() == 0
