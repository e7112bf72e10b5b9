from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Dict

import numpy as np
import pytest
import torch
from torch import Tensor

from tasks.allegro_kuka.blocks import blocks
from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.isaacgym.readout import IsaacGymReadout
from tests.golden import golden
from tests.tasks.isaacgym.gym_double import BASES


def frame(data: Dict[str, np.ndarray], t: int) -> Any:
    """Return the tensors of Isaac Gym in step t of a recorded sequence of the original."""
    num, arms = len(data["object_scale"]), data["palm_pos"].shape[2]
    root = torch.zeros(num, arms + 1, 13)
    root[:, :arms, :3] = BASES[arms][:, :3]
    root[:, :arms, 3:7] = BASES[arms][:, 3:].roll(-1, dims=-1)
    names = ("object_pos", "object_quat", "object_lin_vel", "object_ang_vel")
    root[:, arms] = torch.from_numpy(np.concatenate([data[name][t] for name in names], axis=1))
    goal = torch.zeros(num, 13)
    goal[:, :3], goal[:, 3:7] = (torch.from_numpy(data[f"goal_{x}"][t]) for x in ("pos", "quat"))
    return SimpleNamespace(
        num_envs=num,
        root_state_tensor=root.view(-1, 13),
        object_indices=torch.arange(num) * (arms + 1) + arms,
        goal_states=goal,
        object_scales=torch.from_numpy(data["object_scale"]),
        arm_hand_dof_pos=torch.from_numpy(data["joint_pos"][t]),
        arm_hand_dof_vel=torch.from_numpy(data["joint_vel"][t]),
        arm_hand_dof_lower_limits=torch.from_numpy(data["joint_lower"]),
        arm_hand_dof_upper_limits=torch.from_numpy(data["joint_upper"]),
    )


def turned(observation: Tensor, like: Tensor, cfg: AllegroKukaCfg) -> Tensor:
    """Flip palm quaternions to the sign that they have in `like`: the recording has w >= 0."""
    palm = observation[:, blocks(cfg.subtask, cfg.num_arms)["palm_body"]].unflatten(1, (-1, 10))
    other = like[:, blocks(cfg.subtask, cfg.num_arms)["palm_body"]].unflatten(1, (-1, 10))
    palm[..., :4] *= (palm[..., :4] * other[..., :4]).sum(-1, keepdim=True).sign()
    return observation


@pytest.mark.parametrize(
    ("num_arms", "subtask"),
    [
        (1, "reorientation"),
        (1, "regrasping"),
        (1, "throw"),
        (2, "reorientation"),
        (2, "regrasping"),
    ],
)
def test_observation_equals_the_originals_in_the_first_step_of_an_episode(
    num_arms: int, subtask: str
) -> None:
    family = {1: "one_arm", 2: "two_arms"}[num_arms]
    data = golden(f"allegro_kuka_{family}_{subtask}.npz")
    cfg = AllegroKukaCfg(subtask=subtask, num_arms=num_arms)
    num_compared = 0
    for t in range(1, len(data["obs"])):
        begun = torch.from_numpy(data["done"][t - 1] != 0).nonzero()[:, 0]
        if len(begun) == 0:
            continue
        readout = IsaacGymReadout(frame(data, t), cfg)
        reward = torch.from_numpy(data["reward"][t])[begun]
        expected = torch.from_numpy(data["obs"][t])[begun]
        ours = turned(readout.observe(begun, progress=1, reward=reward), expected, cfg)
        for name, block in blocks(subtask, num_arms).items():
            # Palm speeds reach 25 rad/s here and add up over 7 joints in float32.
            atol = 2e-4 if name == "palm_body" else 2e-5
            torch.testing.assert_close(ours[:, block], expected[:, block], rtol=1e-5, atol=atol)
        num_compared += len(begun)
    assert num_compared > 5
