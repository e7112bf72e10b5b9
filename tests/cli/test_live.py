"""The live view's loop and its commands, on a page that nobody looks at."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any, Iterator, List

import pytest

pytest.importorskip("viser")
pytest.importorskip("mujoco")

import torch

from epo.__main__ import main as epo_main
from epo.cli import environment
from epo.cli.play import live as live_module
from epo.cli.play.live import Live
from epo.cli.play.options import Options, settle
from epo.config import ConfigError
from epo.runner.evaluator import Evaluator, ZeroPolicy
from epo.viewer.page import Page
from tests.composed import composed
from tests.stand_in import replace_in

SETTINGS = ("task=AllegroKukaRegrasping", "engine=mujoco", "device=cpu", "num_agents=1")


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    """A view of two worlds that does not wait for the clock."""
    replace_in(live_module, "time.sleep", lambda seconds: None, monkeypatch)
    cfg = composed(*SETTINGS, "algo=ppo", "num_envs=2")
    env: Any = environment.make_env(cfg)
    evaluator = Evaluator(env, ZeroPolicy(env.spec, env.device))
    with closing(env), closing(Page("127.0.0.1", 18600, "test")) as page:
        yield Live(page, environment.make_scene(cfg, env), evaluator)


def press(live: Live, *commands: Any) -> None:
    """Leave commands as the page's thread does, and let them be done."""
    for command in commands:
        live._later(command)(None)
    live.obey()


def test_plays_a_number_of_steps(live: Live):
    live.run(3)
    assert live.steps == 3 and live.evaluator.present(0).steps == 3


def test_commands_are_done_between_steps(live: Live):
    seen: List[int] = []
    live._later(lambda: seen.append(live.steps))(None)
    assert seen == []
    live.run(1)
    assert seen == [0]


def test_object_is_pushed_placed_and_gets_another_goal(live: Live):
    scene, env = live.scene, live.evaluator.env
    sim: Any = env.sim  # type: ignore[attr-defined]
    live.run(2)
    before = sim.goal_pose.clone()
    press(live, lambda: live._act("new goal"))
    assert (sim.goal_pose - before).abs().amax(1).min() > 1e-3  # in every world
    press(live, lambda: scene.place(1, (0.1, 0.2, 0.9)))
    torch.testing.assert_close(sim.object_pose[1, :3], torch.tensor([0.1, 0.2, 0.9]))
    assert scene.handle(1) == pytest.approx((0.1, 0.2, 0.9))
    assert scene.handle(0) != pytest.approx((0.1, 0.2, 0.9))
    at_rest = sim.object_pose[0, :2].clone()
    press(live, lambda: scene.act("push the object", 0))
    live.run(12)
    assert (sim.object_pose[0, :2] - at_rest).norm() > 0.005


def test_parts_are_where_the_physics_has_them(live: Live):
    scene: Any = live.scene
    parts = scene.parts(1)
    sim: Any = live.evaluator.env.sim  # type: ignore[attr-defined]
    pose = sim.object_pose[1]
    boxes = [part for part in parts if part.shape.kind == "box"]
    assert any(pose[:3].tolist() == pytest.approx(list(p.position), abs=1e-5) for p in boxes)
    assert {part.shape.kind for part in parts} >= {"plane", "box", "cylinder", "capsule"}
    assert [p.shape for p in scene.parts(1)] == [p.shape for p in parts]  # sent once
    assert set(scene.terms(0)) >= {"fingertip", "lifting"}


def test_a_checkpoint_that_does_not_load_is_said_on_the_page(live: Live):
    def load(file: Path, agent: int) -> Any:
        raise ConfigError("checkpoint", file, "is damaged")

    live._load = load
    before = live.evaluator.policy
    live.choose(Path("x.pt"), 0)
    assert live.evaluator.policy is before
    assert "checkpoint=x.pt: is damaged" in live._texts["note"].content


@pytest.mark.parametrize("task", ["Pendulum", "Acrobot"])
def test_classic_tasks_show_their_picture(task: str):
    cfg = composed(f"task={task}", "algo=ppo", "num_agents=1", "num_envs=2", "device=cpu")
    env = environment.make_env(cfg)
    with closing(environment.make_scene(cfg, env)) as scene:
        (part,) = scene.parts(1)
    assert part.shape.kind == "picture" and part.picture.std() > 5.0


def test_command_plays_in_a_viewer_and_ends(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    epo_main(["play", "task=Pendulum", "viewer=web", "port=18620", "steps=2", "num_worlds=2"])
    assert "viewer: http://localhost:186" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(viewer="vr"), "viewer=vr: use one of web, native"),
        (Options(viewer="web", video="a.mp4"), "video=a.mp4: viewer=web writes no file"),
        (Options(viewer="web", agent="all", checkpoint="x"), "agent=all: one agent acts"),
        (Options(viewer="web", port=0), "port=0: use a number from 1"),
        (Options(viewer="native"), "viewer=native: there is no display; use viewer=web"),
    ],
)
def test_bad_input_is_one_line(options: Options, message: str, monkeypatch: pytest.MonkeyPatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=message):
        settle(options)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["task=ProbeReach", "viewer=web"], "task=ProbeReach is impossible: it has no picture"),
        (["checkpoint=nowhere", "viewer=web"], "checkpoint=nowhere: there is no such file"),
    ],
)
def test_what_cannot_be_viewed_is_refused(words: List[str], message: str):
    with pytest.raises(ConfigError, match=message):
        epo_main(["play", *words])


def test_training_of_workers_cannot_be_watched():
    pytest.importorskip("gymnasium")
    cfg = composed("task=Gymnasium", "task.env_id=CartPole-v1", "record.viewer=true")
    with pytest.raises(ConfigError, match=r"record\.viewer=true is impossible: these environments"):
        environment.prepare_viewing(cfg, is_training=True)
