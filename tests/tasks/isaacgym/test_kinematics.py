from __future__ import annotations

import pytest
import torch

from tasks.isaacgym.kinematics import Kinematics
from tests.golden import golden
from tests.tasks.isaacgym.gym_double import BASES


@pytest.mark.parametrize(("family", "num_arms"), [("one_arm", 1), ("two_arms", 2)])
def test_bodies_equal_those_of_the_original_description(family: str, num_arms: int) -> None:
    data = {
        key.partition("__")[2]: torch.from_numpy(value)
        for key, value in golden("kinematics.npz").items()
        if key.startswith(family)
    }
    base = BASES[num_arms]
    torch.testing.assert_close(base[:, :3], data["body_pos"][0, :, 0], rtol=0, atol=1e-6)
    bodies = Kinematics(base).bodies(data["joint_pos"], data["joint_vel"])
    for ours, name in (
        (bodies.palm_pos.permute(2, 0, 1), "palm_pos"),
        (bodies.tip_pos.permute(3, 0, 1, 2), "fingertip_pos"),
        (bodies.palm_linvel.permute(2, 0, 1), "palm_lin_vel"),
        (bodies.palm_angvel.permute(2, 0, 1), "palm_ang_vel"),
    ):
        # float32 over 11 joints
        torch.testing.assert_close(ours, data[name].view_as(ours), rtol=0, atol=5e-6)
    for ours, name in (
        (bodies.palm_quat.permute(2, 0, 1), "palm_quat"),
        (bodies.tip_quat.permute(3, 0, 1, 2), "fingertip_quat"),
    ):
        theirs = data[name].roll(1, dims=-1).view_as(ours)
        overlap = (ours * theirs).sum(-1).abs()  # up to the sign
        torch.testing.assert_close(overlap, torch.ones_like(overlap), rtol=0, atol=2e-6)


def test_palm_at_the_default_posture_is_where_it_was_measured() -> None:
    posture = torch.tensor([[-1.571, 1.571, 0.0, 1.376, 0.0, 1.485, 2.358] + [0.0] * 16])
    bodies = Kinematics(BASES[1]).bodies(posture, torch.zeros_like(posture))
    expected = torch.tensor([-0.0001, 0.2420, 0.7235])  # by hand, to 0.1 mm
    torch.testing.assert_close(bodies.palm_pos[0, :, 0], expected, rtol=0, atol=1e-4)


def test_palm_velocities_are_the_derivatives_of_its_pose() -> None:
    generator = torch.Generator().manual_seed(0)
    joint_pos = torch.randn(8, 46, generator=generator, dtype=torch.float64)
    joint_vel = torch.randn(8, 46, generator=generator, dtype=torch.float64)
    kinematics = Kinematics(BASES[2].double())
    step = 1e-6
    before, now, after = (
        kinematics.bodies(joint_pos + shift * joint_vel, joint_vel) for shift in (-step, 0, step)
    )
    linvel = (after.palm_pos - before.palm_pos) / (2 * step)
    torch.testing.assert_close(now.palm_linvel, linvel, rtol=0, atol=1e-6)
    # dq/dt = (0, w) q / 2, so |dq/dt| = |w| / 2
    turn = (after.palm_quat - before.palm_quat) / (2 * step)
    torch.testing.assert_close(2 * turn.norm(dim=1), now.palm_angvel.norm(dim=1), rtol=0, atol=1e-6)
