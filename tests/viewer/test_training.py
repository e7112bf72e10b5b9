"""How often worlds that train are shown."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, List, cast

import pytest

from epo.viewer.training import ASK_S, SHARE, FirstWatched, TrainingView, shown
from tests.composed import composed
from tests.viewer.double import Solids


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class CountingPage:
    """A page that takes a tenth of a second to show something."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.shown_at, self.has_viewers = clock, [], True
        text = SimpleNamespace(content="")
        gui = SimpleNamespace(add_markdown=lambda _: text, add_html=lambda _: text)
        self.server = SimpleNamespace(gui=gui)
        self.shown_at: List[float] = []

    def look(self, *_: Any) -> None:
        pass

    def show(self, *_: Any) -> None:
        self.shown_at.append(self.clock.now_s)
        self.clock.now_s += 0.1


def test_viewing_takes_a_small_share_of_the_time():
    clock = Clock()
    page: Any = CountingPage(clock)
    view = TrainingView(page, Solids(), [0], clock)
    begin = clock.now_s
    while clock.now_s < begin + 200.0:
        view.after_step()
        clock.now_s += 0.05
    assert len(page.shown_at) > 10
    assert view.spent_s / (clock.now_s - begin) < 1.1 * SHARE


def test_nothing_is_read_while_nobody_looks():
    clock = Clock()
    page: Any = CountingPage(clock)
    page.has_viewers = False
    view = TrainingView(page, Solids(), [0], clock)
    before = len(page.shown_at)
    for _ in range(100):
        view.after_step()
        clock.now_s += 0.01
    assert len(page.shown_at) == before
    page.has_viewers = True
    clock.now_s += ASK_S
    view.after_step()
    assert len(page.shown_at) == before + 1


def test_leader_comes_first():
    assert shown(num_envs=12, num_agents=4) == [9, 0]
    assert shown(num_envs=12, num_agents=1) == [0]


def test_first_environments_are_watched_until_they_are_closed(capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("viser")
    calls: List[str] = []

    class Env:
        spec = SimpleNamespace(name="Some", num_envs=2)

        def step(self, action: str) -> str:
            calls.append(action)
            return action

        def close(self) -> None:
            calls.append("close")

    scene: Any = Solids()
    cfg = composed("task=ProbeReach", "num_agents=2", "num_envs=2", "record.viewer_port=18450")
    build = FirstWatched(cast(Any, lambda cfg: Env()), lambda *_: scene)
    env, other = build(cfg), build(cfg)
    assert "step" in vars(env) and not vars(other)
    assert env.step(cast(Any, "a")) == "a"
    env.close()
    assert not vars(env) and calls == ["a", "close"]
    assert scene.done == [("close", 0)]
    assert capsys.readouterr().out.count("viewer: http://localhost:184") == 1
