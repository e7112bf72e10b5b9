"""One run from its folder to its summary: set up, train, save, say what comes next."""

from __future__ import annotations

import math
import os
import shlex
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Callable, Dict, Optional

from epo.config import Config
from epo.envs import EnvError, VecEnv
from epo.memory import keep_freed_memory
from epo.record.csv import truncate
from epo.record.progress import RunPlan, clock, short
from epo.record.recorder import Recorder, build_recorder
from epo.rollout.staggered import stagger
from epo.runner import checkpoint
from epo.runner.checkpoint import CheckpointError
from epo.runner.guard import NonFiniteError, StopSignal
from epo.runner.loop import Loop
from epo.runner.run_folder import RunFolder, as_plain
from epo.runner.seeds import derive_seed
from epo.runner.start import start_run
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


def run(cfg: Config, make_env: Callable[[Config], VecEnv]) -> int:
    """Train as `cfg` says and return the process's exit code.

    Args:
        cfg: validated and resolved configuration.
        make_env: builds the environments.

    Raises:
        ConfigError: if the run folder, a checkpoint or the task cannot be used.
    """
    keep_freed_memory()
    weights = checkpoint.load(Path(cfg.checkpoint)) if cfg.checkpoint else None
    start = start_run(cfg)
    if start.note:
        say(start.note)
    if start.is_finished:
        return 0
    state = checkpoint.load(start.checkpoint) if start.checkpoint else None
    cfg.run_dir = str(start.folder.path)
    env = make_env(cfg)
    start.folder.write_versions(cfg.device, env.spec.versions)
    if state is not None:
        truncate(start.folder.path, int(state["iteration"]))
    frames = None if state is None else int(state["frames"])
    with build_recorder(
        start.folder.path, cfg.record, _plan(cfg, env), as_plain(cfg), frames
    ) as recorder:
        if state is None and cfg.staggered_starts:
            stagger(env, int(cfg.num_agents), derive_seed(cfg.seed, "staggered starts"))
        trainer = make_loop(cfg, env, recorder)
        if state is not None:
            restore(trainer, state, start.checkpoint)
        elif weights is not None:
            load_weights(trainer, weights, str(cfg.checkpoint))
        code = Session(trainer, start.folder, recorder).run()
    env.close()
    return code


def make_loop(cfg: Config, env: VecEnv, recorder: Recorder) -> Loop:
    """Build the way of training that `algo.trainer` names."""
    module, name = TRAINERS[cfg.algo.trainer].split(":")
    return getattr(import_module(module), name)(cfg, env, recorder)


def restore(trainer: Loop, state: Dict[str, Any], path: Optional[Path]) -> None:
    """Continue where `state` was taken.

    Raises:
        CheckpointError: if it is of another task, network or size.
    """
    try:
        trainer.load_state_dict(state)
    except (KeyError, RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(Path(str(path)), f"does not fit this run ({reason})") from error


def load_weights(trainer: Loop, state: Dict[str, Any], path: str) -> None:
    """Start from the networks and normalisers of a checkpoint.

    Raises:
        CheckpointError: if they have other shapes.
    """
    try:
        trainer.load_policy(state)
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(
            Path(path),
            "its network does not fit; use the task, num_agents and algo.network it was trained "
            "with (config.yaml of its run)",
        ) from error


class Session:
    """Train until a limit or a signal, and leave everything on disk.

    Args:
        trainer: what to run.
        folder: where checkpoints and the summary go.
        recorder: closed before the last words are printed.
    """

    def __init__(self, trainer: Loop, folder: RunFolder, recorder: Recorder) -> None:
        self.trainer = trainer
        self.folder = folder
        self.recorder = recorder

    def run(self) -> int:
        """Return 0 at a limit, 130 or 143 after a signal, 1 if training or saving failed."""
        trainer = self.trainer
        with StopSignal() as stop:
            try:
                while not trainer.is_finished() and not stop:
                    trainer.iterate()
                    self._save_when_due()
            except (NonFiniteError, EnvError) as error:
                return self._fail(str(error))
            try:
                checkpoint.save(self.folder.last, trainer.state_dict())
            except CheckpointError as error:
                return self._fail(str(error))
            self._summarise("interrupted" if stop else "finished")
        self.recorder.close()
        say(self._last_words())
        return stop.exit_code

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
                checkpoint.save(self.folder.last, trainer.state_dict())
        except CheckpointError as error:
            # The run goes on: the disk may have room again at the next checkpoint.
            say(f"warning: {error}", is_error=True)

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
        """Say what was reached and what to type next."""
        trainer, path = self.trainer, self.folder.path
        metrics = trainer.last_metrics
        reached = ", ".join(
            f"{label} {short(metrics[name])}"
            for label, name in (
                ("episode return", "leader/episode_return"),
                ("successes", "leader/successes"),
                ("lifted", "leader/lifted"),
                ("fitness", "leader/fitness"),
            )
            if not math.isnan(metrics.get(name, math.nan))
        )
        return (
            f"\n{short(trainer.frames)} frames in {clock(trainer.wall_s)}, "
            f"{metrics.get('generation', 0.0):.0f} generations; leader: "
            f"{reached or 'no episode has ended'}\n"
            f"  look at it    {python()} -m epo plot {path}\n"
            f"  continue it   {self._next_command()}\n"
        )

    def _next_command(self) -> str:
        """Give the command that continues this run; a limit that was reached is doubled."""
        cfg = self.trainer.cfg
        is_over = self.trainer.is_finished()
        limits = {
            name: f"{name}={getattr(cfg, name) * 2}"
            for name in ("max_frames", "max_iterations", "max_minutes")
            if getattr(cfg, name) is not None and is_over
        }
        replaced = {*limits, "run_dir", "resume"}
        kept = [word for word in sys.argv[1:] if word.partition("=")[0] not in replaced]
        words = [sys.argv[0], *kept, f"resume={self.folder.path}", *limits.values()]
        return " ".join([python(), *(shlex.quote(word) for word in words)])


def python() -> str:
    """Name the interpreter as the user can type it here."""
    path = os.path.relpath(sys.executable)
    return path if not path.startswith("..") else sys.executable


def _plan(cfg: Config, env: VecEnv) -> RunPlan:
    num_agents = int(cfg.num_agents)
    return RunPlan(
        title=f"{env.spec.name} · {cfg.algo.name}",
        details=f"{num_agents} agents × {env.spec.num_envs // num_agents} envs · "
        f"{env.spec.engine} on {cfg.device} · seed {cfg.seed}",
        run_dir=str(cfg.run_dir),
        max_frames=cfg.max_frames,
        max_iterations=cfg.max_iterations,
        max_minutes=cfg.max_minutes,
    )
