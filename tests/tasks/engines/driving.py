"""What the tests of the engines share: boxes, motions and comparisons, on any device."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import pytest
import torch
from torch import Tensor

from tasks.allegro_kuka.simulator import Simulator

STATES = ("joint_pos", "joint_vel", "object_pose", "bad")
SITES = ("site_pos", "site_quat", "site_linvel", "site_angvel")
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
        ],
    ),
]


def random_half_size(num_envs: int, seed: int = 0) -> Tensor:
    """Draw half edges [N, 3] of boxes of 4 to 8 cm, m."""
    return 0.02 + 0.02 * torch.rand(num_envs, 3, generator=torch.Generator().manual_seed(seed))


def on_table(sim: Simulator, half_size: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return arguments of `set_state`: boxes 1 mm above the table, robots clear of their limits."""
    pose = sim.object_pose.clone()
    pose[:, 2] = 0.53 + 0.001 + half_size[:, 2].to(sim.device)
    posture = sim.joint_pos.clamp(sim.joint_lower + 0.05, sim.joint_upper - 0.05)
    return posture, torch.zeros_like(posture), pose, torch.zeros(sim.num_envs, 6, device=sim.device)


def in_the_air(sim: Simulator) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return arguments of `set_state` that leave the robots and put the boxes far from them."""
    pose = sim.object_pose.clone()
    pose[:, :3] = torch.tensor([-1.0, -1.0, 2.0], device=sim.device)
    rest = torch.zeros(sim.num_envs, 6, device=sim.device)
    return sim.joint_pos.clone(), sim.joint_vel.clone(), pose, rest


def everywhere(sim: Simulator) -> Tensor:
    return torch.ones(sim.num_envs, dtype=torch.bool, device=sim.device)


def drive(sim: Simulator, steps: int, seed: int = 0) -> None:
    """Step under targets that wander at random, and random pushes of about the box's weight."""
    generator = torch.Generator().manual_seed(seed)
    lower, upper = sim.joint_lower + 0.05, sim.joint_upper - 0.05
    for step in range(steps):
        if step % 6 == 0:
            noise = torch.rand(sim.ctrl.shape, generator=generator).to(sim.device) - 0.5
            sim.ctrl.copy_((sim.ctrl + 0.2 * (upper - lower) * noise).clamp(lower, upper))
            push = torch.randn(sim.num_envs, 3, generator=generator).to(sim.device)
            sim.object_force[:, :3] = 2.0 * sim.object_mass[:, None] * push
        sim.step()


def snapshot(sim: Simulator) -> Dict[str, Tensor]:
    return {name: getattr(sim, name).clone() for name in STATES + SITES}


def assert_identical(
    ours: Dict[str, Tensor], theirs: Dict[str, Tensor], rows: Any = slice(None)
) -> None:
    for name, value in ours.items():
        assert torch.equal(value[rows], theirs[name][rows]), name
