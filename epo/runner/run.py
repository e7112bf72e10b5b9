"""One run from its folder to its summary: set up, train, save, say what comes next."""

from __future__ import annotations

import math
import sys
from importlib import import_module
from pathlib import Path
from typing import Callable

from epo.config import Config
from epo.envs import VecEnv
from epo.exceptions import one_line, traceback_text, wants_tracebacks
from epo.memory import keep_freed_memory
from epo.quoting import assignment, python, shell, short_path
from epo.record.names import headline
from epo.record.progress import RunPlan, clock, short
from epo.record.recorder import Recorder, build_recorder, check_packages
from epo.redact import redact_words
from epo.rollout.staggered import stagger
from epo.runner import checkpoint
from epo.runner.checkpoint import CheckpointError
from epo.runner.evaluation import Evaluation
from epo.runner.fit import load_weights, restore
from epo.runner.flight_recorder import FlightRecorder, message
from epo.runner.guard import NonFiniteError, StopSignal
from epo.runner.loop import Loop
from epo.runner.run_folder import RunFolder, as_recorded
from epo.runner.seeds import derive_seed
from epo.runner.start import find_start
from epo.terminal import say

TRAINERS = {
    "ppo": "epo.runner.trainer:Trainer",
    "pql": "epo.runner.pql:PQLLoop",
    "pbt": "epo.runner.pbt:make_pbt",
    "rl_games": "epo.runner.rl_games:RlGamesLoop",
}
"""`algo.trainer` -> what builds the loop that trains so, imported when it is used."""
BEST_INTERVAL = 10
"""Iterations between two looks at whether the leader is the best so far."""


def run(cfg: Config, make_env: Callable[[Config], VecEnv], is_drawn: bool = False) -> int:
    """Train as `cfg` says and return the process's exit code.

    Args:
        cfg: validated and resolved configuration.
        make_env: builds the environments.
        is_drawn: whether the task can be played as a video.

    Raises:
        ConfigError: if the run folder, a checkpoint or the task cannot be used.
    """
    keep_freed_memory()
    weights = checkpoint.load(Path(cfg.checkpoint)) if cfg.checkpoint else None
    start = find_start(cfg)
    if start.note:
        say(start.note)
    if start.is_finished:
        return 0
    state = start.load()
    env = make_env(cfg)
    try:
        if state is None and cfg.staggered_starts:
            stagger(env, int(cfg.num_agents), derive_seed(cfg.seed, "staggered starts"))
        trainer = make_loop(cfg, env, Recorder([]))
        if cfg.record.eval_frames:
            trainer.evaluation = Evaluation(cfg, make_env)
        if state is not None:
            restore(trainer, state, start.folder.last)
        elif weights is not None:
            load_weights(trainer, weights, Path(str(cfg.checkpoint)))
        check_packages(cfg.record)
        # Nothing on the disk has changed so far: whatever can be refused has been.
        start.begin(cfg, env.spec.versions)
        start.folder.write_spec(env.spec)
        trainer.begin()
        frames = None if state is None else trainer.frames
        with build_recorder(
            start.folder.path, cfg.record, _plan(cfg, env), as_recorded(cfg), frames
        ) as recorder:
            trainer.recorder = recorder
            return Session(trainer, start.folder, recorder, is_drawn).run()
    finally:
        try:
            env.close()
        except Exception as error:  # nothing is lost any more
            say(f"warning: {env.spec.name} does not close ({one_line(error)})", is_error=True)


def make_loop(cfg: Config, env: VecEnv, recorder: Recorder) -> Loop:
    """Build the way of training that `algo.trainer` names."""
    module, name = TRAINERS[cfg.algo.trainer].split(":")
    return getattr(import_module(module), name)(cfg, env, recorder)


class Session:
    """Train until a limit or a signal, and leave everything on disk.

    Args:
        trainer: what to run.
        folder: where checkpoints and the summary go.
        recorder: closed before the last words are printed.
        is_drawn: whether the task can be played as a video.
    """

    def __init__(
        self, trainer: Loop, folder: RunFolder, recorder: Recorder, is_drawn: bool = False
    ) -> None:
        self.trainer = trainer
        self.folder = folder
        self.recorder = recorder
        self.is_drawn = is_drawn
        self.flight = FlightRecorder(folder, trainer.cfg.guard)

    def run(self) -> int:
        """Return 0 at a limit, 130 or 143 after a signal, 1 if training or saving failed."""
        trainer = self.trainer
        with StopSignal() as stop:
            try:
                while not trainer.is_finished() and not stop:
                    self.flight.keep(trainer)
                    trainer.iterate()
                    self._save_when_due()
            except KeyboardInterrupt:
                return self._quit()
            except (Exception, SystemExit) as error:  # an environment may call sys.exit
                return self._fail_iteration(error)
            try:
                self._save_last()
            except (CheckpointError, NonFiniteError) as error:
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
            if trainer.iteration % BEST_INTERVAL == 0 and trainer.is_best():
                content = {
                    "iteration": trainer.iteration,
                    "frames": trainer.frames,
                    "fitness": trainer.best_fitness,
                    **trainer.policy_state(),
                }
                checkpoint.save(self.folder.best, content)
            if trainer.iteration % interval == 0:
                self._save_last()
        except CheckpointError as error:
            # The run continues: the disk may have room again at the next checkpoint.
            say(f"warning: {error}", is_error=True)

    def _save_last(self) -> None:
        self.folder.save_last(self.trainer.state_dict(), self.trainer.cfg.record.keep_last)

    def _fail_iteration(self, error: BaseException) -> int:
        """Keep what was learned, write down what happened, and say so in one line."""
        state, kept = self.flight.state, ""
        if state is not None and state["iteration"] > 0:
            kept = f"iteration {state['iteration']} is saved"
            try:
                self.folder.save_last(state, self.trainer.cfg.record.keep_last)
            except Exception as failure:  # a full disk, or a device that answers no more
                kept = f"iteration {state['iteration']} could not be saved ({one_line(failure)})"
        failure = self.flight.write(self.trainer, error)
        if state is not None:
            self.trainer.iteration, self.trainer.frames = state["iteration"], state["frames"]
        if wants_tracebacks():
            say(traceback_text(error), is_error=True)
        return self._fail(message(error, failure, kept))

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
            f"  {what:<14}{shell([python(), '-m', 'epo', *words])}\n"
            for what, words in verbs.items()
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
        kept = [word for word in sys.argv[1:] if word.partition("=")[0] not in replaced]
        resume = assignment("resume", short_path(self.folder.path))
        return shell([python(), sys.argv[0], *redact_words(kept), resume, *limits.values()])


def _plan(cfg: Config, env: VecEnv) -> RunPlan:
    num_agents = int(cfg.num_agents)
    return RunPlan(
        title=f"{env.spec.name} · {cfg.algo.name}",
        details=f"{num_agents} agents × {env.spec.num_envs // num_agents} envs · "
        f"{env.spec.engine} on {cfg.device} · seed {cfg.seed}",
        run_dir=short_path(cfg.run_dir),
        max_frames=cfg.max_frames,
        max_iterations=cfg.max_iterations,
        max_minutes=cfg.max_minutes,
        headline=env.spec.headline,
    )
