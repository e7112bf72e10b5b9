"""Images: luminance, averaging, stacking."""

from __future__ import annotations

from typing import Any, List, Tuple

import numpy as np
import pytest

pytest.importorskip("gymnasium")

from gymnasium import spaces

from tasks.gymnasium.config import PixelsCfg
from tasks.gymnasium.pixels import Pixels, averaging, is_image
from tests.tasks.gymnasium.small_env import make
from tests.tasks.gymnasium.toys import Spaces

PLAIN = {"grayscale": False, "side": None, "frame_stack": 1}


class Slides(Spaces):
    """Shows given images one after the other."""

    def __init__(self, images: List[Any]) -> None:
        self.images = [np.array(image, dtype=np.uint8) for image in images]
        super().__init__(spaces.Box(0, 255, self.images[0].shape, np.uint8))

    def reset(self, **kwargs: Any) -> Any:
        return self.images[0], {}

    def step(self, action: Any) -> Any:
        self.images.append(self.images.pop(0))
        return self.images[0], 0.0, False, False, {}


def shown(images: List[Any], num_steps: int = 0, **settings: Any) -> Tuple[Pixels, np.ndarray]:
    env = Pixels(Slides(images), PixelsCfg(**{**PLAIN, **settings}))
    observation, _ = env.reset()
    for _ in range(num_steps):
        observation = env.step(0)[0]
    assert env.observation_space.contains(observation)
    return env, observation


def test_only_bytes_with_two_or_three_axes_are_images():
    assert is_image(spaces.Box(0, 255, (4, 4), np.uint8))
    assert is_image(spaces.Box(0, 255, (4, 4, 3), np.uint8))
    assert not is_image(spaces.Box(0, 255, (128,), np.uint8))  # the memory of an Atari
    assert not is_image(spaces.Box(0.0, 1.0, (4, 4, 3)))
    assert not is_image(spaces.Discrete(4))


def test_channels_come_first():
    image = np.arange(24).reshape(2, 4, 3)
    _, observation = shown([image])
    assert np.array_equal(observation, image.transpose(2, 0, 1))
    assert shown([np.zeros((2, 4))])[1].shape == (1, 2, 4)
    assert shown([np.zeros((5, 6, 7))])[1].shape == (5, 6, 7)  # already so


def test_grayscale_is_the_luminance():
    # 0.299, 0.587 and 0.114 of 200: 59.8, 117.4, 22.8
    _, observation = shown([[[[200, 0, 0], [0, 200, 0], [0, 0, 200]]]], grayscale=True)
    assert observation.tolist() == [[[60, 117, 23]]]


def test_averaging_keeps_what_is_constant_and_shares_pixels():
    assert averaging(4, 2).tolist() == [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]
    # 3 pixels over 2 intervals of 1.5: 1/1.5 and 0.5/1.5
    np.testing.assert_allclose(averaging(3, 2), [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]], atol=1e-7)
    np.testing.assert_allclose(averaging(96, 84).sum(1), 1.0, rtol=1e-6)


def test_image_is_averaged_to_a_square():
    _, observation = shown([[[10, 30, 50, 70], [20, 40, 60, 80]]], side=2)
    assert observation.tolist() == [[[20, 60], [30, 70]]]


def test_newest_images_are_stacked_and_the_first_fills_the_stack():
    images = [[[value]] for value in (1, 2, 3)]
    assert shown(images, 0, frame_stack=3)[1].ravel().tolist() == [1, 1, 1]
    assert shown(images, 1, frame_stack=3)[1].ravel().tolist() == [1, 1, 2]
    env, observation = shown(images, 3, frame_stack=3)
    assert observation.ravel().tolist() == [2, 3, 1]
    assert env.reset()[0].ravel().tolist() == [1, 1, 1]  # nothing of the last episode


def test_task_shows_flat_images_as_floats():
    env = make("Lamp-v0", pixels=PixelsCfg(side=8, frame_stack=2))
    assert env.spec.image_shape == (2, 8, 8)
    observation = env.reset()
    assert observation.shape == (3, 128) and observation.is_floating_point()
    assert observation.min() >= 0 and 90 < observation.max() <= 255
