"""Observations and actions in the learner's words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("gymnasium")

from gymnasium import spaces

from tasks.gymnasium.spaces import Actions, Observations
from tests.tasks.gymnasium.small_env import make


def numbers(values: Any) -> np.ndarray:
    return np.array(values, dtype=np.float32)


BOX = spaces.Box(-1.0, 1.0, (2, 2))


@pytest.mark.parametrize(
    ("space", "observation", "expected"),
    [
        (BOX, [[1.0, 2.0], [3.0, 4.0]], [1.0, 2.0, 3.0, 4.0]),
        (spaces.Discrete(3), 1, [0.0, 1.0, 0.0]),
        (spaces.Discrete(3, start=5), 5, [1.0, 0.0, 0.0]),
        (spaces.MultiBinary(2), [1, 0], [1.0, 0.0]),
        (
            spaces.Dict({"a": spaces.Discrete(2), "b": spaces.Box(-9.0, 9.0, (1,))}),
            {"a": 1, "b": [7.0]},
            [0.0, 1.0, 7.0],
        ),
    ],
    ids=lambda x: type(x).__name__,
)
def test_observation_of_fixed_length_becomes_a_row(space: Any, observation: Any, expected: Any):
    observations = Observations("X-v0", space)
    row = observations.flat(observation)
    assert row.tolist() == expected and observations.dim == len(expected)
    assert (observations.dtype, observations.image_shape) == (np.float32, None)


def test_image_stays_bytes():
    observations = Observations("X-v0", spaces.Box(0, 255, (4, 6, 5), np.uint8))
    assert (observations.dim, observations.dtype) == (120, np.uint8)
    assert observations.image_shape == (4, 6, 5)


def test_observation_without_fixed_length_is_refused():
    with pytest.raises(ValueError, match=r"task\.env_id=X-v0 .*Sequence.* no fixed length"):
        Observations("X-v0", spaces.Sequence(spaces.Discrete(2)))


def test_box_action_is_scaled_to_finite_bounds_and_passed_on_elsewhere():
    inf = np.inf
    low, high = numbers([-2, -inf, -0.5, -inf]), numbers([6, inf, inf, 0.25])
    actions = Actions("X-v0", spaces.Box(low, high))
    assert (actions.dim, actions.num_choices, actions.shape) == (4, 0, (4,))
    given = numbers([[-1, -1, -1, -1], [0, 0, 0, 0], [3, 3, 3, 3]])  # 3 is clamped to 1
    expected = [[-2, -1, -0.5, -1], [2, 0, 0, 0], [6, 1, 1, 0.25]]
    assert actions.to_env(given).tolist() == expected


def test_action_of_several_axes_gets_its_shape_back_as_a_copy():
    actions = Actions("X-v0", BOX)
    row = numbers([1, 2, 3, 4])
    given = actions.unbatch(row)
    row[:] = 0
    assert given.tolist() == [[1, 2], [3, 4]]


def test_discrete_action_is_an_index_from_the_first_choice():
    env = make("Choice-v0")
    spec = env.spec
    assert (spec.num_choices, spec.action_dim, spec.observation_dim) == (3, 1, 3)
    assert env.reset().tolist() == [[0.0, 1.0, 0.0]] * 3
    step = env.step(torch.tensor([[0.0], [1.0], [2.0]]))
    assert step.reward.tolist() == [5.0, 6.0, 7.0]


@pytest.mark.parametrize(
    "space",
    [
        spaces.MultiDiscrete([2, 3]),
        spaces.MultiBinary(2),
        spaces.Box(0, 3, (2,), np.int64),
        spaces.Tuple([spaces.Discrete(2)]),
    ],
    ids=lambda space: type(space).__name__,
)
def test_other_actions_are_refused_in_one_line(space: Any):
    with pytest.raises(ValueError, match=r"^task\.env_id=.* neither Discrete nor a real Box$"):
        make("Spaces-v0", kwargs={"action": space})
