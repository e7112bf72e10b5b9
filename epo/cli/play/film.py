"""A film of agents at work: their worlds side by side, with captions, in real time."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Callable, Optional, Sequence, Tuple

import numpy as np
from rich.progress import track

from epo.envs import CurriculumEnv
from epo.record.tiles import Grid
from epo.runner.evaluator import Episode, Evaluator

if TYPE_CHECKING:
    from tasks.rendering import Renderer


class Film:
    """Frames of all worlds of an evaluator.

    Args:
        evaluator: whose worlds are shown.
        renderer: draws one world, best in the size of a tile.
        grid: where the tiles go.
        labels: [N] who acts in each world.
        level: of the curriculum; None: the task has none.
        fps: frames per second of simulated time; where they are more than the control steps,
            frames are repeated.
        with_captions: write label and numbers into the tiles.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        renderer: Renderer,
        grid: Grid,
        labels: Sequence[str],
        level: Optional[float],
        fps: float,
        with_captions: bool,
    ) -> None:
        self.evaluator, self.labels = evaluator, labels
        self._renderer, self._grid = renderer, grid
        self._level = level
        self.fps = fps
        self._with_captions = with_captions

    def shoot(self, steps: int, write: Optional[Callable[[np.ndarray], None]] = None) -> int:
        """Play for `steps` control steps.

        Args:
            steps: control steps.
            write: takes the frames, the first one of the start; None: nobody looks.

        Returns:
            Frames written.
        """
        num_frames, frames_per_step = 0, self.fps * self.evaluator.env.spec.control_dt_s
        is_quiet = not sys.stdout.isatty()
        for step in track(range(steps + 1), "playing", transient=True, disable=is_quiet):
            if step:
                self.evaluator.step()
            due = math.floor(step * frames_per_step + 1e-6) + 1 - num_frames
            if write is not None and due > 0:
                frame = self.frame()
                for _ in range(due):
                    write(frame)
                num_frames += due
        return num_frames

    def frame(self) -> np.ndarray:
        """Draw all worlds as they are now: [height, width, 3] uint8."""
        worlds = range(len(self.labels))
        tiles = [self._renderer.draw(i) for i in worlds]
        return self._grid.compose(tiles, [self._caption(i) for i in worlds])

    def _caption(self, world: int) -> Tuple[str, ...]:
        if not self._with_captions:
            return ()
        episode = self.evaluator.present(world)
        ended = [other for other in self.evaluator.episodes if other.env == world]
        env = self.evaluator.env
        level = ""
        if self._level is not None and isinstance(env, CurriculumEnv):
            level = f"{env.level_name.replace('_', ' ')} {self._level:.3g}"
        return caption(self.labels[world], episode, ended, env.spec.success, level)


def caption(
    label: str, episode: Episode, ended: Sequence[Episode], success: str = "", level: str = ""
) -> Tuple[str, str, str]:
    """Write who acts and what the present episode reached.

    Beside, successes and level of the curriculum or, in tasks without one, the return of the
    episode before.

    Args:
        label: who acts.
        episode: the present one.
        ended: those before, in this world.
        success: the metric that counts successes.
        level: of the curriculum, with its name; empty: there is none.
    """
    if level:
        other = f"{success} {episode.metrics.get(success, 0.0):.0f}  {level}"
    else:
        other = f"episode {len(ended)} returned {ended[-1].episode_return:.1f}" if ended else ""
    return label, other, f"return {episode.episode_return:.1f}  step {episode.steps}"
