"""Observations and actions in the learner's words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("gymnasium")

from gymnasium import spaces

from tasks.gymnasium.guard import WrongValueError
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
        (spaces.MultiDiscrete([2, 3], start=[0, 7]), [1, 8], [0.0, 1.0, 0.0, 1.0, 0.0]),
        (spaces.Box(-5, 5, (2,), np.int64), [-5, 4], [-5.0, 4.0]),
        (
            spaces.Tuple([spaces.Discrete(2), BOX]),
            (0, np.ones((2, 2))),
            [1.0, 0.0, 1.0, 1.0, 1.0, 1.0],
        ),
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
    row = np.full(observations.dim, 9.0, np.float32)
    observations.write(observation, row)
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
    assert (actions.dim, actions.choices, actions.shape) == (4, (), (4,))
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
    assert (spec.choices, spec.action_dim, spec.observation_dim) == ((3,), 1, 3)
    assert env.reset().tolist() == [[0.0, 1.0, 0.0]] * 3
    step = env.step(torch.tensor([[0.0], [1.0], [2.0]]))
    assert step.reward.tolist() == [5.0, 6.0, 7.0]


@pytest.mark.parametrize(
    ("space", "choices", "given", "expected"),
    [
        (spaces.Discrete(3, start=-1), (3,), [2.0], 1),
        (spaces.MultiDiscrete([2, 3]), (2, 3), [1.0, 2.0], [1, 2]),
        (spaces.MultiDiscrete([2, 3], start=[5, -1]), (2, 3), [1.0, 2.0], [6, 1]),
        (spaces.MultiDiscrete(np.array([[2, 3]])), (2, 3), [9.0, -9.0], [[1, 0]]),  # clamped
        (spaces.MultiBinary(2), (2, 2), [1.0, 0.0], [1, 0]),
        (spaces.Box(-1, 3, (2,), np.int32), (5, 5), [0.0, 4.0], [-1, 3]),
        (spaces.Box(0, 255, (1,), np.uint8), (256,), [255.0], [255]),
    ],
    ids=str,
)
def test_action_of_whole_numbers_is_an_index_per_component(
    space: Any, choices: Any, given: Any, expected: Any
):
    actions = Actions("X-v0", space)
    assert (actions.choices, actions.dim) == (choices, len(choices))
    buffer = np.empty((1, actions.dim), actions.dtype)
    buffer[:] = actions.to_env(numbers([given]))
    action = actions.unbatch(buffer[0])
    assert space.contains(action)
    assert (action if isinstance(action, int) else action.tolist()) == expected


@pytest.mark.parametrize("bound", [np.finfo(np.float32).max, 1e20, np.inf])
def test_enormous_bounds_are_none(bound: float):
    actions = Actions("X-v0", spaces.Box(-bound, bound, (1,), np.float32))
    assert actions.to_env(numbers([[-2.0], [0.5]])).tolist() == [[-1.0], [0.5]]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (spaces.Tuple([spaces.Discrete(2)]), r"gymnasium\.ActionWrapper\) to take a Box, Discrete"),
        (spaces.Discrete(5000), r"more than 1024 choices; wrap it .* Box of real numbers"),
        (spaces.Box(-(2**62), 2**62, (2,), np.int64), r"more than 1024 choices"),
        (spaces.Box(-1.0, 1.0, (0,)), r"are empty"),
        (None, r"its action_space is a builtins.NoneType, none of gymnasium\.spaces"),
    ],
    ids=str,
)
def test_other_actions_are_refused_in_one_line(space: Any, message: str):
    with pytest.raises(ValueError, match=rf"^task\.env_id=X-v0 .*{message}") as error:
        Actions("X-v0", space)
    assert "\n" not in str(error.value)


def test_several_choices_reach_the_environment():
    env = make("Spaces-v0", kwargs={"action": spaces.MultiDiscrete([2, 5], start=[0, 10])})
    assert (env.spec.choices, env.spec.policy_dim, env.spec.action_dim) == ((2, 5), 7, 2)
    assert env.step(torch.tensor([[1.0, 4.0]] * 3)).reward.tolist() == [0.0] * 3


NESTED = spaces.Dict(
    {
        "a": spaces.Tuple([spaces.Discrete(3, start=1), spaces.MultiBinary(2)]),
        "b": spaces.Dict(
            {"x": spaces.Box(-9.0, 9.0, (2, 2)), "y": spaces.Box(0, 9, (1,), np.int32)}
        ),
        "c": spaces.MultiDiscrete([2, 3], start=[4, 0]),
    }
)


def test_rows_are_those_of_gymnasiums_own_flatten():
    NESTED.seed(0)
    observations = Observations("X-v0", NESTED)
    row = np.empty(observations.dim, np.float32)
    for _ in range(20):
        observation = NESTED.sample()
        observations.write(observation, row)
        expected = np.asarray(spaces.flatten(NESTED, observation), np.float32)
        assert row.tolist() == expected.tolist()


def test_columns_have_names():
    label = Observations("X-v0", NESTED).label
    assert label(2) == "the observation['a'][0]" and label(4) == "the observation['a'][1][1]"
    assert label(7) == "the observation['b']['x'][1, 0]"
    assert label(9) == "the observation['b']['y'][0]"
    assert label(11) == "the observation['c'][0]" and label(12) == "the observation['c'][1]"


@pytest.mark.parametrize(
    ("space", "value", "message"),
    [
        (spaces.Discrete(3, start=1), 4, r"is 4, its space goes from 1 to 3"),
        (spaces.Discrete(3), -1, r"is -1, "),
        (spaces.Discrete(3), 1.5, r"is 1\.5, "),
        (spaces.Discrete(3), np.ones(2), r"has shape \[2\]"),
        (
            spaces.MultiDiscrete([2, 3]),
            [1, 3],
            r"is \[1, 3\], its space goes from \[0, 0\] to \[1, 2",
        ),
        (spaces.MultiBinary(2), [1], r"has shape \[1\], it must have \[2\]"),
        (NESTED, {}, r"has no 'a', its space has"),
        (NESTED, [1, 2, 3], r"is a list, not a dictionary"),
        (spaces.Tuple([BOX]), np.zeros((2, 2)), r"is not a tuple of 1"),
        (spaces.Dict({"x": BOX}), {"x": [1.0]}, r"\['x'\] has shape \[1\]"),
    ],
    ids=str,
)
def test_values_outside_their_space_are_refused(space: Any, value: Any, message: str):
    observations = Observations("X-v0", space)
    with pytest.raises(WrongValueError, match=rf"^the observation.*{message}"):
        observations.write(value, np.empty(observations.dim, np.float32))


def test_axes_of_length_one_do_not_matter():
    row = np.empty(3, np.float32)
    Observations("X-v0", spaces.Box(-1.0, 1.0, (3,))).write([[1.0], [2.0], [3.0]], row)
    assert row.tolist() == [1.0, 2.0, 3.0]
