"""Pictures of the classic tasks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("PIL")

from tasks.classic import shapes
from tasks.classic.family import FAMILY
from tasks.classic.rendering import draw
from tasks.engines.config import MujocoCfg
from tests.tasks.classic.worlds import NAMES, make, settings


def where(picture: np.ndarray, color) -> np.ndarray:
    """Centre of the pixels of a colour, x to the right and y up, shares of the picture."""
    rows, columns = (np.abs(picture.astype(int) - color).sum(axis=-1) < 30).nonzero()
    assert len(rows) > 3
    height, width = picture.shape[:2]
    return np.array([columns.mean() / width, 1 - rows.mean() / height])


@pytest.mark.parametrize("task", NAMES)
def test_what_moves_is_inside_the_frame_and_moves(task: str):
    cfg: Any = settings(task)
    FAMILY.prepare_drawing(cfg, MujocoCfg())
    env = make(task, num_envs=2)
    env.reset()
    renderer = FAMILY.make_renderer(env, 160, 120)
    before = renderer.draw(1)
    assert before.shape == (120, 160, 3) and before.dtype == np.uint8
    action = torch.full((2, env.spec.action_dim), 0.0 if env.spec.choices else 1.0)
    for _ in range(5):
        env.step(action)
    after = renderer.draw(1)
    edge = np.concatenate([after[0], after[-1], after[:, 0], after[:, -1]])
    assert (np.abs(edge.astype(int) - shapes.BODY).sum(axis=-1) > 30).all()
    assert not np.array_equal(before, after)
    assert np.array_equal(renderer.draw(1), after)
    where(after, shapes.BODY)
    renderer.close()


def test_robot_is_drawn_where_it_is():
    env = make("DeceptiveMaze", num_envs=1)
    env.reset()
    env.state[:2, 0] = torch.tensor([1.5, 7.5])  # upper left cell of 11 x 9 with walls
    picture = FAMILY.make_renderer(env, 220, 180).draw(0)
    assert where(picture, shapes.BODY) == pytest.approx([0.15, 0.81], abs=0.03)
    assert where(picture, shapes.GOAL) == pytest.approx([0.84, 0.5], abs=0.03)


def test_proportions_are_kept_in_a_frame_of_any_shape():
    disc = shapes.Picture((-1, -1), (1, 1), [shapes.Disc((0, 0), 1.0, shapes.BODY)])
    for size in ((200, 60), (60, 200)):
        rows, columns = (draw(disc, *size)[..., 0] < 100).nonzero()
        assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=1)
        assert np.ptp(rows) == pytest.approx(0.94 * 60, abs=3)
