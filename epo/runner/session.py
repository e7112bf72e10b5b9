"""The iterations of a run: train until a limit or a signal, save, say what comes next."""

from __future__ import annotations

import contextlib
import math
import sys
from typing import Any, Callable, Dict, Optional

from epo import program
from epo.config import ConfigError
from epo.exceptions import one_line, traceback_text, wants_tracebacks
from epo.quoting import assignment, shell, short_path
from epo.ranks.alone import GONE, RankError
from epo.record.names import headline
from epo.record.progress import clock, short
from epo.record.recorder import Recorder
from epo.redact import redact_words
from epo.runner import checkpoint
from epo.runner.evaluation import is_due
from epo.runner.flight_recorder import FlightRecorder, message
from epo.runner.forecast import Forecast
from epo.runner.guard import NonFiniteError, StopSignal
from epo.runner.loop import Loop
from epo.runner.run_folder import RunFolder
from epo.runner.whole import whole
from epo.terminal import say

BEST_INTERVAL = 10
"""Iterations between two looks at whether the leader is the best so far."""


class Session:
    """Train until a limit or a signal, and leave everything on disk.

    Args:
        trainer: what to run.
        folder: where checkpoints and the summary go.
        recorder: closed before the last words are printed.
        is_drawn: whether the task can be played as a video.
        forecast: says what the run will take; None: nobody does.
    """

    def __init__(
        self,
        trainer: Loop,
        folder: RunFolder,
        recorder: Recorder,
        is_drawn: bool = False,
        forecast: Optional[Forecast] = None,
    ) -> None:
        self.trainer = trainer
        self.ranks = trainer.ranks
        self.folder = folder
        self.recorder = recorder
        self.is_drawn = is_drawn
        self.forecast = forecast if trainer.ranks.rank == 0 else None
        self.flight = FlightRecorder(folder, trainer.cfg.guard)

    def run(self) -> int:
        """Return 0 at a limit, 130 or 143 after a signal, 1 if training or saving failed."""
        trainer = self.trainer
        with StopSignal() as stop:
            try:
                while not trainer.is_finished() and not stop.agree(self.ranks):
                    self.flight.keep(trainer)
                    trainer.iterate()
                    self._save_when_due()
                    if self.forecast is not None:
                        self.forecast.look(trainer)
            except KeyboardInterrupt:
                return self._quit()
            except RankError as error:
                return self._fail_without(error)
            except (Exception, SystemExit) as error:  # an environment may call sys.exit
                return self._fail_iteration(error)
            try:
                self._save_last(trainer.state_dict())
            except RankError as error:
                return self._fail_without(error)
            except (ConfigError, NonFiniteError) as error:
                return self._fail(str(error))
            self._summarise("interrupted" if stop else "finished")
        self.recorder.close()
        say(self._last_words())
        return stop.exit_code

    def _quit(self) -> int:
        """Exit at once after a second Ctrl-C; only what was saved before remains."""
        saved = self.folder.saved_iteration
        self.recorder.close()
        if saved < 0:
            say("stopped without saving: no checkpoint was there yet", is_error=True)
        else:
            say(
                f"stopped without saving; iteration {saved} was saved last\n"
                f"  continue it   {self._next_command()}",
                is_error=True,
            )
        return 130

    def _save_when_due(self) -> None:
        trainer, interval = self.trainer, self.trainer.cfg.record.checkpoint_interval
        try:
            if self._is_best():
                self._save_best()
            if trainer.iteration % interval == 0:
                self._save_last(trainer.state_dict())
        except ConfigError as error:
            # The run continues: the disk may have room again at the next checkpoint.
            say(f"warning: {error}", is_error=True)

    def _is_best(self) -> bool:
        """Return whether the leader is the best so far: by its evaluation where there is one."""
        trainer = self.trainer
        every = trainer.cfg.record.eval_interval
        if not every:
            return trainer.iteration % BEST_INTERVAL == 0 and trainer.is_best()
        before = trainer.frames - trainer.frames_per_iteration
        # Rank 0 alone evaluates, so it decides.
        return is_due(every, before, trainer.frames) and self.ranks.first(trainer.is_best)

    def _save_best(self) -> None:
        trainer = self.trainer
        trainer.remember_best()
        content = {
            "iteration": trainer.iteration,
            "frames": trainer.frames,
            "fitness": trainer.best_fitness,
            **trainer.acting_state(),
        }
        self._write(lambda: checkpoint.save(self.folder.best, content))

    def _save_last(self, state: Dict[str, Any]) -> None:
        """Save a state of this rank, gathered from all of them, as that of the run."""
        if state["iteration"] == self.folder.saved_iteration:
            return
        state = whole(state, self.ranks)
        keep = self.trainer.cfg.record.keep_last
        self._write(lambda: self.folder.save_last(state, keep))
        self.folder.saved_iteration = state["iteration"]

    def _write(self, write: Callable[[], None]) -> None:
        """Let rank 0 write; what goes wrong is the same on all ranks.

        Raises:
            ConfigError: if it cannot be written.
            NonFiniteError: if it is not to be written.
        """

        def attempt() -> str:
            try:
                write()
            except NonFiniteError as error:
                return str(error)
            return ""

        refused = self.ranks.first(attempt)
        if refused:
            raise NonFiniteError(refused)

    def _fail_without(self, error: RankError) -> int:
        """End with what is on the disk: another rank is gone."""
        message = f"{error}; the run ends, resume=auto goes on from the last checkpoint"
        with contextlib.suppress(OSError):  # the line below is more important
            self._summarise("failed", message)
        self.recorder.close()
        if error.is_speaker:
            say(f"error: {message}", stream=sys.stderr)
        return GONE

    def _fail_iteration(self, error: BaseException) -> int:
        """Keep what was learned, write down what happened, and say so in one line."""
        # Numbers are the same on all ranks: one that fails by anything else fails alone.
        if self.ranks.size > 1 and not isinstance(error, NonFiniteError):
            return self._fail_alone(error)
        state, kept = self.flight.state, ""
        if state is not None and state["iteration"] > 0:
            kept = f"iteration {state['iteration']} is saved"
            try:
                self._save_last(state)
            except Exception as failure:  # a full disk, or a device that answers no more
                kept = f"iteration {state['iteration']} could not be saved ({one_line(failure)})"
        if self.ranks.rank:
            return 1
        failure = self.flight.write(self.trainer, error)
        if state is not None:
            self.trainer.iteration, self.trainer.frames = state["iteration"], state["frames"]
        if wants_tracebacks():
            say(traceback_text(error), is_error=True)
        return self._fail(message(error, failure, kept))

    def _fail_alone(self, error: BaseException) -> int:
        """Write down what happened on this rank; the others notice that it is gone."""
        failure = self.flight.write(self.trainer, error)
        if wants_tracebacks():
            say(traceback_text(error), stream=sys.stderr)
        text = f"rank {self.ranks.rank}: {message(error, failure, '')}"
        if self.ranks.rank == 0:
            return self._fail(text)
        say(f"error: {text}", stream=sys.stderr)
        return 1

    def _fail(self, message: str) -> int:
        try:
            self._summarise("failed", message)
        except OSError as error:
            message += f" (nor the summary: {error.strerror})"
        self.recorder.close()
        say(f"error: {message}", is_error=True)
        return 1

    def _summarise(self, status: str, error: str = "") -> None:
        trainer = self.trainer
        if self.ranks.rank:
            return
        self.folder.write_summary(
            status,
            trainer.iteration,
            trainer.frames,
            trainer.wall_s,
            trainer.best_fitness,
            trainer.last_metrics,
            error,
        )

    def _last_words(self) -> str:
        """Return what was reached and what to type next."""
        trainer, path = self.trainer, short_path(self.folder.path)
        metrics = trainer.last_metrics
        reached = ", ".join(
            f"{label} {short(metrics[name])}"
            for label, name in (
                ("episode return", "leader/episode_return"),
                *headline(trainer.env.spec.headline, metrics),
                ("fitness", "leader/fitness"),
            )
            if not math.isnan(metrics.get(name, math.nan))
        )
        return (
            f"\n{short(trainer.frames)} frames in {clock(trainer.wall_s)}, "
            f"{metrics.get('generation', 0.0):.0f} generations; leader: "
            f"{reached or 'no episode has ended'}\n"
            f"{self._verbs(path)}"
            f"  continue it   {self._next_command()}\n"
        )

    def _verbs(self, path: str) -> str:
        """Return a line for everything that can be done with the run."""
        verbs = {"look at it": ["plot", path], "measure it": ["eval", path]}
        if self.is_drawn:
            verbs["watch it"] = ["play", assignment("checkpoint", path)]
        return "".join(
            f"  {what:<14}{shell([*program.verbs(), *words])}\n" for what, words in verbs.items()
        )

    def _next_command(self) -> str:
        """Return the command that continues this run; a limit that was reached is doubled."""
        cfg = self.trainer.cfg
        is_over = self.trainer.is_finished()
        limits = {
            name: f"{name}={getattr(cfg, name) * 2}"
            for name in ("max_frames", "max_iterations", "max_minutes")
            if getattr(cfg, name) is not None and is_over
        }
        replaced = {*limits, "run_dir", "resume"}
        begin, settings = program.started()
        kept = [word for word in settings if word.partition("=")[0] not in replaced]
        resume = assignment("resume", short_path(self.folder.path))
        return shell([*begin, *redact_words(kept), resume, *limits.values()])
