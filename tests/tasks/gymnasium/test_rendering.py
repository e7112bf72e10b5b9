from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("gymnasium")

from epo.envs import EnvError
from tasks.engines import opengl
from tasks.engines.config import AutoCfg
from tasks.gymnasium.config import GymnasiumCfg
from tasks.gymnasium.env import GymnasiumEnv
from tasks.gymnasium.environments import build
from tasks.gymnasium.family import FAMILY
from tasks.gymnasium.picture import draw
from tests.tasks.gymnasium.toys import TOYS
from tests.tasks.opengl import needs_opengl

CPU = torch.device("cpu")


def drawable(env_id: str, num_envs: int = 2, **settings: Any) -> GymnasiumEnv:
    """Build environments that `check` prepared."""
    cfg = GymnasiumCfg(env_id=env_id, **settings)
    FAMILY.prepare_drawing(cfg, AutoCfg())
    return GymnasiumEnv(cfg, num_envs, CPU, seed=0)


def test_every_environment_is_drawn_as_it_is_now_even_where_workers_were_wanted():
    env = drawable(f"{TOYS}Drawn-v0", vectorization="async", kwargs={"length": 3})
    renderer = FAMILY.make_renderer(env, 64, 64)
    draws = np.rint(255 * env.reset()[:, 0].numpy())
    pictures = [renderer.draw(i) for i in (0, 1)]
    assert [picture.shape for picture in pictures] == [(10, 20, 3)] * 2
    assert [picture[0, 0, 0] for picture in pictures] == list(draws) and draws[0] != draws[1]
    greys = []
    for _ in range(4):
        env.step(torch.zeros(2, 2))
        greys.append(int(renderer.draw(1)[0, 0, 1]))
    assert greys == [10, 20, 0, 10]  # after three steps the next episode begins
    renderer.close()
    env.close()


@needs_opengl
def test_mujoco_draws_in_the_size_asked_for():
    env = drawable("HalfCheetah-v5")
    renderer = FAMILY.make_renderer(env, 80, 60)
    first, second = (renderer.draw(i) for i in (0, 1))
    assert first.shape == (60, 80, 3)
    assert first.std() > 20  # a chessboard
    assert not np.array_equal(first, second)
    env.step(torch.ones(2, 6))
    assert not np.array_equal(renderer.draw(0), first)
    env.close()


@needs_opengl
def test_every_mujoco_environment_is_drawn_in_its_own_opengl_context():
    opengl.load()
    envs = [
        build(GymnasiumCfg(env_id=env_id, kwargs={"render_mode": "rgb_array"}))
        for env_id in ("HalfCheetah-v5", "Hopper-v5")
    ]
    for env in envs:
        env.reset(seed=0)
    # Sizes that differ: in the context of the other one, a part of the picture would be missing.
    first, _, again = (draw(envs[i], (80 - 40 * i, 60)) for i in (0, 1, 0))
    assert np.array_equal(first, again)
    for env in envs:
        env.close()


@pytest.mark.parametrize(
    ("env_id", "kwargs", "message"),
    [
        (f"{TOYS}Counting-v0", {}, r"^task.env_id=\S*Counting-v0 is .*no picture .*rgb_array"),
        (
            f"{TOYS}Drawn-v0",
            {"breaks_at": 0},
            r"drawn here \(Arith.*: the brush is broken\); try",
        ),
        (f"{TOYS}Drawn-v0", {"breaks_at": -1}, r"render gives float64\[2, 2\], not \[H, W, 3\]"),
    ],
)
def test_environment_without_picture_is_refused(env_id: str, kwargs: Any, message: str):
    with pytest.raises(ValueError, match=message) as error:
        drawable(env_id, kwargs=kwargs)
    assert "\n" not in str(error.value)


def test_missing_package_of_a_renderer_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(ValueError, match=r"CartPole-v1 .*pygame is not.*pip install 'epo\[gymn"):
        drawable("CartPole-v1")


def test_opengl_is_the_one_of_the_other_tasks(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("mujoco")
    if not sys.platform.startswith("linux"):
        pytest.skip("MUJOCO_GL is read on Linux only")
    monkeypatch.setenv("MUJOCO_GL", "vulkan")
    with pytest.raises(ValueError, match="MUJOCO_GL=vulkan is impossible: use one of egl"):
        drawable("HalfCheetah-v5")


def test_opengl_that_cannot_draw_is_one_line(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("mujoco")

    def context(width: int, height: int) -> Any:
        raise RuntimeError("no display\nanywhere")

    monkeypatch.setattr(opengl, "load", lambda: context)
    with pytest.raises(ValueError, match=r"OpenGL cannot draw here \(no display\); install EGL"):
        drawable("HalfCheetah-v5")


def test_pygame_needs_no_display_unless_one_is_chosen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SDL_AUDIODRIVER", "pulse")
    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")  # so that it is put back
    monkeypatch.delenv("SDL_VIDEODRIVER")
    drawable(f"{TOYS}Drawn-v0").close()
    assert (os.environ["SDL_VIDEODRIVER"], os.environ["SDL_AUDIODRIVER"]) == ("dummy", "pulse")


def test_failure_to_draw_names_the_environment():
    env = drawable(f"{TOYS}Drawn-v0", kwargs={"breaks_at": 1})
    env.step(torch.zeros(2, 2))
    with pytest.raises(EnvError, match=r"^environment 1 of .*Drawn-v0 failed in render: Arith"):
        FAMILY.make_renderer(env, 64, 64).draw(1)
