"""What every way of training shares: its clock and limits, its row of numbers, its state."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional

import torch
from torch import Tensor

from epo.components import metrics as own_metrics
from epo.config import Config, ConfigError
from epo.envs import EnvSpec, VecEnv
from epo.learner.skipping import IN_A_ROW, SKIPPED
from epo.population import FitnessTracker
from epo.ranks import ALONE, Ranks
from epo.record.names import agent_fitness
from epo.record.recorder import Recorder
from epo.runner.guard import check_finite, check_skipped
from epo.runner.nonfinite import Finding
from epo.runner.run_folder import RunFolder
from epo.runner.snapshot import Numbers, Snapshot, transfer
from epo.stopwatch import Stopwatch

if TYPE_CHECKING:
    from epo.runner.evaluation import Evaluation


class Loop(ABC):
    """One run, an iteration at a time; subclasses say what an iteration is.

    Args:
        cfg: validated and resolved configuration (`num_agents` is an int).
        env: the environments.
        recorder: where the numbers go.
        ranks: that train together; this process holds its part of the environments.
        num_here: agents with environments on this rank; None: all of them.

    Attributes:
        iteration, frames: what was run so far, in all sessions; frames are environment frames.
        last_metrics: the row of the last iteration.
        evaluation: measures the leader during the run; None: nobody does.
        optimizer_group: where `learning_rate` and `max_grad_norm` are set.
    """

    optimizer_group = "algo.ppo"

    def __init__(
        self,
        cfg: Config,
        env: VecEnv,
        recorder: Recorder,
        ranks: Ranks = ALONE,
        num_here: Optional[int] = None,
    ) -> None:
        self.cfg = cfg
        self.ranks = ranks
        self.env = env
        self.recorder = recorder
        self.stopwatch = Stopwatch(env.device)
        self.tracker = FitnessTracker(
            env.spec.num_envs,
            int(cfg.num_agents) if num_here is None else num_here,
            env.device,
            cfg.algo.evolution.fitness_metric,
            env.spec.metrics,
            env.spec.objective,
        )
        self._own_metrics = [own_metrics.get(name, cfg.algo.own) for name in cfg.record.metrics]
        self.evaluation: Optional[Evaluation] = None
        self.iteration = 0
        self.frames = 0
        self.wall_s = 0.0
        self.best_fitness = -math.inf
        self.last_metrics: Dict[str, float] = {}
        self._last_end = time.perf_counter()

    @property
    @abstractmethod
    def frames_per_iteration(self) -> int:
        """Environment frames of one iteration."""

    @abstractmethod
    def advance(self) -> Numbers:
        """Run one iteration on the device and return its numbers.

        The time goes to the stopwatch's sections `rollout` (with `sim` inside) and `learn`.
        """

    @abstractmethod
    def policy_state(self) -> Dict[str, Any]:
        """Everything that is needed to act as the agents do, as far as it is on this rank."""

    @abstractmethod
    def load_policy(self, state: Dict[str, Any]) -> None:
        """Take the start weights from a `policy_state`.

        Raises:
            RuntimeError, KeyError: if it is of another network.
        """

    def acting_state(self) -> Dict[str, Any]:
        """Return on rank 0 the whole `policy_state`, for `best.pt`; all ranks call it."""
        return self.policy_state()

    def of_all(self, x: Tensor) -> Tensor:
        """Return numbers of all agents [..., K] from what this rank adds to them.

        All ranks call it.
        """
        return self.ranks.sum(x)

    def begin(self) -> None:  # noqa: B027 (most ways of training need nothing)
        """Take what lies outside the run folder; the run is going to train for certain now.

        Raises:
            ConfigError: if it is not to be had.
        """

    def kept_state(self) -> Dict[str, Any]:
        """Return the state that the flight recorder copies before every iteration."""
        return self.state_dict()

    def recording(self) -> Dict[str, Any]:
        """Return the data of the present iteration, for the folder of a failure; may be empty.

        `rollout` holds fields by name, `num_steps` says how many control steps were collected.
        """
        return {}

    def play(self, recording: Dict[str, Any]) -> None:
        """Let the next iteration learn from a complete `recording`; nobody acts.

        Raises:
            ConfigError: if it has other sizes, or this way of training cannot do it.
        """
        way_out = "cannot learn from a recorded rollout"
        raise ConfigError("algo.trainer", self.cfg.algo.trainer, way_out)

    def relearn(self, state: Dict[str, Any]) -> Optional[Finding]:
        """Repeat the last update from `state` and say what was not finite first, if it is known.

        The loop cannot continue afterwards.
        """
        return None

    @property
    def leader_id(self) -> int:
        """Index of the agent that the leader's numbers are of: the last one."""
        return int(self.cfg.num_agents) - 1

    def evolve(self, snapshot: Snapshot) -> None:
        """Let the population change between two iterations, after the count of this one.

        Without a population only the window of fitness moves on, with every interval: the mean
        must not span the run.
        """
        interval = self.cfg.algo.evolution.interval_frames
        if self.frames // interval > (self.frames - self.frames_per_iteration) // interval:
            self.tracker.start_window()

    def population_row(self) -> Dict[str, float]:
        """Return further columns about the population."""
        return {}

    def is_best(self) -> bool:
        """Return whether the leader's objective is the best so far.

        Of equal ones the later is better: it has learned for longer.
        """
        return self._objective() >= self.best_fitness

    def remember_best(self) -> None:
        """Let the leader's objective be the best so far; nothing where this rank has none."""
        objective = self._objective()
        if not math.isnan(objective):
            self.best_fitness = objective

    def _objective(self) -> float:
        column = "eval/fitness" if self.cfg.record.eval_interval else "leader/objective"
        return self.last_metrics.get(column, math.nan)

    def is_finished(self) -> bool:
        """Return whether a limit of the run is reached."""
        cfg = self.cfg
        return (
            (cfg.max_frames is not None and self.frames >= cfg.max_frames)
            or (cfg.max_iterations is not None and self.iteration >= cfg.max_iterations)
            or (cfg.max_minutes is not None and self.wall_s >= 60.0 * cfg.max_minutes)
        )

    def iterate(self) -> Dict[str, float]:
        """Run one iteration and return its row of numbers."""
        metrics, shown, watched = self.advance()
        shown = dict(shown)
        for measure in self._own_metrics:
            shown.update(measure(self))
        snapshot = transfer(
            {**metrics, **self.ranks.totals(watched)},
            self.ranks.average(shown),
            self.tracker.snapshot(self.of_all),
            self.tracker.block_means(self.of_all),
            self.ranks.agree,
        )
        last = RunFolder(Path(str(self.cfg.run_dir))).last
        numbers = snapshot.metrics
        if numbers.get(SKIPPED):
            check_skipped(numbers[IN_A_ROW], self.cfg.guard.max_skipped, self.iteration + 1)
            numbers = {name: numbers[name] for name in watched}  # means may be of no minibatch
        check_finite(numbers, self.iteration + 1, last, self.optimizer_group)
        snapshot = snapshot._replace(
            metrics={n: snapshot.metrics[n] for n in metrics if n != IN_A_ROW}
        )
        self.iteration += 1
        self.frames += self.frames_per_iteration
        self.evolve(snapshot)
        self.last_metrics = {**self._timing(), **self._row(snapshot)}
        before = self.frames - self.frames_per_iteration
        if self.evaluation is not None and self.evaluation.is_due(before, self.frames):
            self.last_metrics.update(self.evaluation.measure(self))
        self.recorder.write(self.iteration, self.frames, self.last_metrics)
        return self.last_metrics

    def _timing(self) -> Dict[str, float]:
        """Where the time of the iteration went, s."""
        seconds = self.stopwatch.read()
        # From the end of the last iteration: recording and checkpoints count as well.
        now = time.perf_counter()
        elapsed, self._last_end = now - self._last_end, now
        wall_s = torch.tensor(self.wall_s + elapsed, dtype=torch.float64)
        self.wall_s = float(self.ranks.agree(wall_s))  # a limit is reached by all at once
        return {
            "wall_s": self.wall_s,
            "fps": self.frames_per_iteration / elapsed,
            "sim_s": seconds.get("sim", 0.0),
            "learn_s": seconds.get("learn", 0.0),
            "act_s": seconds.get("rollout", 0.0) - seconds.get("sim", 0.0),
            **self.ranks.seconds(),
        }

    def _row(self, snapshot: Snapshot) -> Dict[str, float]:
        """Name the leader's and the population's numbers."""
        fitness: List[float] = snapshot.fitness.fitness.tolist()
        known = [value for value in fitness if not math.isnan(value)]
        row = {"leader/fitness": fitness[self.leader_id], "population/gene_distance": 0.0}
        row["population/fitness_mean"] = sum(known) / len(known) if known else math.nan
        row["population/fitness_best"] = max(known) if known else math.nan
        for name, block in snapshot.blocks.items():
            # The task's own objective; what selection goes by may be another metric.
            column = "objective" if name == "fitness" else name
            row[f"leader/{column}"] = float(block[self.leader_id])
            row[f"population/{column}"] = float(block.nanmean())  # of the agents that are known
        row.update(self.population_row())
        return {**row, **snapshot.metrics, **snapshot.scalars, **agent_fitness(fitness)}

    def state_dict(self) -> Dict[str, Any]:
        """Everything that changes, so that a resumed run equals an uninterrupted one."""
        return {
            "iteration": self.iteration,
            "frames": self.frames,
            "wall_s": self.wall_s,
            "sizes": sizes(self.env.spec),
            "best_fitness": self.best_fitness,
            "tracker": self.tracker.state_dict(),
            "env": self.env.state_dict(),
            **self.policy_state(),
        }

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self.iteration = int(state["iteration"])
        self.frames = int(state["frames"])
        self.wall_s = float(state["wall_s"])
        self.best_fitness = float(state["best_fitness"])
        self.load_policy(state)
        self.tracker.load_state_dict(state["tracker"])
        self.env.load_state_dict(state["env"])


def sizes(spec: EnvSpec) -> Dict[str, int]:
    """Return the sizes of a task that a checkpoint keeps, so that a misfit can be named."""
    return {
        "observation": spec.observation_dim,
        "action": spec.action_dim,
        "choices": sum(spec.choices),
    }
