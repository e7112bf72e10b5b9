"""Agents at work in a live view: paused, stepped, slower or faster, pushed and replaced."""

from __future__ import annotations

import queue
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence

from epo.config import ConfigError
from epo.runner.evaluator import Evaluator, Policy
from epo.viewer.page import Page, bars
from epo.viewer.scene import Scene

SHOW_S = 1.0 / 30.0
"""Shortest time between two pictures on the page."""
TEXT_S = 0.2
"""Shortest time between two changes of numbers and bars."""
IDLE_S = 0.02
SPEEDS = (0.05, 4.0)
"""Slowest and fastest, times real time."""
LoadPolicy = Callable[[Path, int], Policy]


class Live:
    """A page, and the worlds that it shows and steers.

    What is pressed on the page is done between two control steps, in the thread that steps.

    Args:
        page: where they are shown.
        scene: what they look like.
        evaluator: steps them.
        load: policy of a checkpoint and an agent; None: nobody was trained.
        files: checkpoints to choose from, the one that plays first.
        agents: K, of which one acts; the last is the leader.
        agent: who acts first.

    Attributes:
        is_paused: whether the worlds stand still.
        steps: control steps that were made.
        speed: times real time that is asked for.
    """

    def __init__(
        self,
        page: Page,
        scene: Scene,
        evaluator: Evaluator,
        load: Optional[LoadPolicy] = None,
        files: Sequence[Path] = (),
        agents: int = 1,
        agent: int = 0,
    ) -> None:
        self.page, self.scene, self.evaluator = page, scene, evaluator
        self.worlds = range(evaluator.env.spec.num_envs)
        self.is_paused, self.steps, self.speed = False, 0, 1.0
        self._load, self._files, self._agents, self._agent = load, list(files), agents, agent
        self._single = 0
        self._commands: queue.Queue[Callable[[], None]] = queue.Queue()
        self._texts: Dict[str, Any] = {}
        self._shown_s = self._told_s = -1.0
        self._build()
        page.look(scene.camera, len(self.worlds), scene.spacing_m)
        page.show(scene, self.worlds)

    def run(self, steps: Optional[int] = None) -> None:
        """Play until Ctrl-C, or for a number of control steps."""
        due = time.monotonic()
        while steps is None or self.steps < steps:
            self.obey()
            if self.is_paused and not self._single:
                self.show()
                time.sleep(IDLE_S)
                due = time.monotonic()
                continue
            self._single = max(0, self._single - 1)
            self.advance()
            self.show()
            due += self.evaluator.env.spec.control_dt_s / self.speed
            now = time.monotonic()
            time.sleep(max(0.0, due - now))
            due = max(due, now - 0.1)  # what was too slow is not made up for

    def obey(self) -> None:
        """Do what was pressed since the last control step."""
        while True:
            try:
                command = self._commands.get_nowait()
            except queue.Empty:
                return
            command()

    def advance(self) -> None:
        """Make one control step in all worlds."""
        self.evaluator.step()
        self.steps += 1

    def show(self, is_due: bool = False) -> None:
        """Send the worlds to the page, and more rarely the numbers."""
        now = time.monotonic()
        if is_due or now - self._shown_s >= SHOW_S:
            self.page.show(self.scene, self.worlds)
            self._shown_s = now
        if is_due or now - self._told_s >= TEXT_S:
            self._tell()
            self._told_s = now

    def choose(self, file: Path, agent: int) -> None:
        """Let an agent of a checkpoint act from now on, in the middle of the episode."""
        if self._load is None:
            return
        try:
            self.evaluator.policy = self._load(file, agent)
        except ConfigError as error:
            self._texts["note"].content = f"*{error}*"
            return
        self._agent = agent
        self._texts["note"].content = f"agent {agent} of {file.name}"

    def _build(self) -> None:
        """Put buttons, choices and numbers on the page."""
        gui = self.page.server.gui
        self._texts["note"] = gui.add_markdown("")
        self._texts["numbers"] = gui.add_markdown("")
        with gui.add_folder("Time"):
            pause = gui.add_button("Pause")
            step = gui.add_button("Step")
            speed = gui.add_slider("Speed", *SPEEDS, step=0.05, initial_value=self.speed)

        def toggle() -> None:
            self.is_paused = not self.is_paused
            pause.label = "Play" if self.is_paused else "Pause"

        def single() -> None:
            self.is_paused, pause.label = True, "Play"
            self._single += 1

        def set_speed() -> None:
            self.speed = max(SPEEDS[0], float(speed.value))

        pause.on_click(self._later(toggle))
        step.on_click(self._later(single))
        speed.on_update(self._later(set_speed))
        if self._load is not None:
            self._build_choice()
        if self.scene.controls or self.scene.can_place:
            self._build_controls()
        if self.scene.terms(0):
            with gui.add_folder("Reward terms"):
                self._texts["terms"] = gui.add_html("")

    def _build_choice(self) -> None:
        """Let the page choose who acts."""
        gui, last = self.page.server.gui, self._agents - 1
        names = [f"{k}" + " (leader)" * (k == last) for k in range(self._agents)]
        with gui.add_folder("Policy"):
            agent = gui.add_dropdown("Agent", names, initial_value=names[self._agent])
            files = {path.name: path for path in self._files}
            file = gui.add_dropdown("Checkpoint", list(files))
            again = gui.add_button("Read it again", hint="a run that trains writes newer ones")
        choose = self._later(
            lambda: self.choose(files[str(file.value)], names.index(str(agent.value)))
        )
        agent.on_update(choose)
        file.on_update(choose)
        again.on_click(choose)

    def _build_controls(self) -> None:
        """Let the page do something to the worlds."""
        gui = self.page.server.gui
        with gui.add_folder("World"):
            for control in self.scene.controls:
                button = gui.add_button(control.capitalize())
                button.on_click(self._later(lambda control=control: self._act(control)))
            if not self.scene.can_place:
                return
            is_held = gui.add_checkbox("Hold the object", initial_value=False)
        grip = self.page.server.scene.add_transform_controls(
            "/grip", scale=0.25, disable_rotations=True, disable_sliders=True, visible=False
        )

        def hold() -> None:
            grip.visible = bool(is_held.value)
            if grip.visible:
                grip.position = self.scene.handle(0)

        def place() -> None:
            if is_held.value:
                x, y, z = (float(value) for value in grip.position)
                self.scene.place(0, (x, y, z))
                self.show(is_due=True)

        is_held.on_update(self._later(hold))
        grip.on_update(self._later(place))

    def _act(self, control: str) -> None:
        for world in self.worlds:
            self.scene.act(control, world)
        self.show(is_due=True)

    def _later(self, command: Callable[[], None]) -> Callable[[Any], None]:
        """Return a callback for the page's thread that leaves a command for the one that steps."""

        def call(_: Any) -> None:
            self._commands.put(command)

        return call

    def _tell(self) -> None:
        episode = self.evaluator.present(0)
        rows: List[str] = [f"step {episode.steps}", f"return {episode.episode_return:.1f}"]
        rows += [f"{name} {value:.3g}" for name, value in episode.metrics.items()]
        state = "paused" if self.is_paused else "playing"
        self._texts["numbers"].content = f"**{state}** · " + " · ".join(rows)
        if "terms" in self._texts:
            self._texts["terms"].content = bars(self.scene.terms(0))
