from __future__ import annotations

from typing import Dict

import pytest
import torch
from torch import Tensor

from epo.runner.nonfinite import describe, first_in_rollout

STEPS, ENVS = 3, 4


def rollout() -> Dict[str, Tensor]:
    return {
        "observation": torch.zeros(STEPS + 1, ENVS, 5),
        "mean": torch.zeros(STEPS, ENVS, 2),
        "value": torch.zeros(STEPS + 1, ENVS),
        "action": torch.zeros(STEPS, ENVS, 2),
        "reward": torch.zeros(STEPS, ENVS),
        "agent": torch.tensor([0, 0, 1, 1]),
    }


def test_finite_rollout_has_no_finding():
    assert first_in_rollout(rollout(), STEPS) is None


def test_cause_comes_before_its_consequences():
    numbers = rollout()
    numbers["reward"][1, 2:] = torch.nan  # the next observation, and all after it, are NaN as well
    for name in ("observation", "value"):
        numbers[name][2:, 2] = torch.nan
    found = first_in_rollout(numbers, STEPS)
    assert found == {
        "quantity": "reward", "value": "nan", "env": 2, "num_envs": 2, "agent": 1, "step": 1,
    }  # fmt: skip
    assert found is not None
    assert describe(found) == "reward is nan in environment 2 (agent 1) and 1 others, step 1"


def test_components_of_an_observation_are_named():
    numbers = rollout()
    numbers["observation"][3, 1, [2, 4]] = -torch.inf
    found = first_in_rollout(numbers, STEPS)
    assert found is not None
    text = "observation is -inf in environment 1 (agent 0), component 2, 4, step 3"
    assert describe(found) == text


@pytest.mark.parametrize(("num_steps", "is_seen"), [(0, False), (1, False), (2, True), (3, True)])
def test_old_steps_of_a_rollout_that_broke_off_do_not_count(num_steps: int, is_seen: bool):
    numbers = rollout()
    numbers["reward"][1, 0] = torch.nan
    assert (first_in_rollout(numbers, num_steps) is not None) is is_seen


def test_finding_of_an_update_names_the_parameter():
    found = {"quantity": "gradient", "parameter": "trunk.weight", "epoch": 0, "minibatch": 3}
    assert describe(found) == "gradient of trunk.weight is not finite, epoch 0, minibatch 3"
