"""A live view of worlds while they train, which may take a small share of the time only."""

from __future__ import annotations

import time
from typing import Any, Callable, List

from epo.config import Config
from epo.envs import Step, VecEnv
from epo.terminal import say
from epo.viewer.page import Page, bars
from epo.viewer.scene import Scene

SHARE = 0.008
"""Of the time of training, at most, that reading and sending worlds may take."""
SHOW_S = 0.05
"""Shortest time between two pictures."""
ASK_S = 0.5
"""Time between two looks at whether anybody is there."""
MakeScene = Callable[[Config, VecEnv], Scene]


class FirstWatched:
    """Builds environments; the first of them, which trains, is watched until it is closed.

    Args:
        make_env: builds environments.
        make_scene: gives what is seen of them.
    """

    def __init__(self, make_env: Callable[[Config], VecEnv], make_scene: MakeScene) -> None:
        self._make_env, self._make_scene = make_env, make_scene
        self._is_first = True

    def __call__(self, cfg: Config) -> VecEnv:
        """Build environments.

        Raises:
            ConfigError: if they cannot be viewed, or no page can be served.
        """
        env = self._make_env(cfg)
        if self._is_first:
            self._is_first = False
            watch(cfg, env, self._make_scene)
        return env


def watch(cfg: Config, env: VecEnv, make_scene: MakeScene) -> None:
    """Serve a page with the first world of the leader, and that of the first agent beside it.

    Nothing is read while nobody looks. Only steps are watched: the worlds are never touched.

    Args:
        cfg: `record.viewer_port` is the first port to try.
        env: its `step` and `close` are replaced until it is closed.
        make_scene: gives what is seen of it.

    Raises:
        ConfigError: if the worlds cannot be viewed, or no page can be served.
    """
    scene = make_scene(cfg, env)
    title = f"{env.spec.name} · {cfg.algo.name} trains"
    page = Page("127.0.0.1", cfg.record.viewer_port, title, "record.viewer_port")
    say(f"viewer: {page.url}")
    view = TrainingView(page, scene, shown(env.spec.num_envs, int(cfg.num_agents)))
    step_unseen, close_unseen = env.step, env.close

    def step(action: Any) -> Step:
        found = step_unseen(action)
        view.after_step()
        return found

    def close() -> None:
        del env_itself.step, env_itself.close
        page.close()
        scene.close()
        close_unseen()

    env_itself: Any = env
    env_itself.step, env_itself.close = step, close


def shown(num_envs: int, num_agents: int) -> List[int]:
    """Return the first world of the leader, the last agent, and of the first agent."""
    leader = num_envs - num_envs // num_agents
    return [leader, 0] if leader else [0]


class TrainingView:
    """Sends worlds to a page as often as `SHARE` allows.

    Args:
        page: where they are shown.
        scene: what they look like.
        worlds: which.
        now: clock, s.

    Attributes:
        spent_s: time that was spent here.
    """

    def __init__(
        self,
        page: Page,
        scene: Scene,
        worlds: List[int],
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.spent_s = 0.0
        self._page, self._scene, self._worlds, self._now = page, scene, worlds, now
        self._due_s = now()
        self._text = page.server.gui.add_markdown("")
        self._bars = page.server.gui.add_html("")
        page.look(scene.camera, len(worlds), scene.spacing_m)
        page.show(scene, worlds)

    def after_step(self) -> None:
        """Show the worlds if it is time."""
        begin = self._now()
        if begin < self._due_s:
            return
        if not self._page.has_viewers:
            self._due_s = begin + ASK_S
            return
        self._page.show(self._scene, self._worlds)
        self._text.content = "worlds of the leader" + " and of agent 0" * (len(self._worlds) > 1)
        self._bars.content = bars(self._scene.terms(self._worlds[0]))
        cost_s = self._now() - begin
        self.spent_s += cost_s
        self._due_s = begin + max(SHOW_S, cost_s / SHARE)
