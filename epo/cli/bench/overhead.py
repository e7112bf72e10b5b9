"""What an iteration of the trainer costs beside simulation and network."""

from __future__ import annotations

import statistics
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Iterator

import torch

from epo.cli.bench.timing import elapsed_s, timed
from epo.learner.diagnostics import Diagnostics
from epo.learner.metrics import MetricMeans
from epo.population import Evolution
from epo.population.fitness import Fitness
from epo.runner import checkpoint
from epo.runner.run_folder import RunFolder
from epo.runner.session import BEST_INTERVAL
from epo.runner.snapshot import Snapshot
from epo.runner.trainer import Trainer
from epo.stopwatch import Stopwatch

BOOKKEEPING = "bookkeeping"
HOOKS = ("on_update_start", "on_minibatch_end", "on_epoch_end", "on_update_end", "metrics")


class OuterStopwatch(Stopwatch):
    """Count sections inside other sections as a part of those, not twice."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self._depth = 0

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Count the time spent in the body under `name`, unless a section is running."""
        self._depth += 1
        try:
            if self._depth > 1:
                yield
            else:
                with super().section(name):
                    yield
        finally:
            self._depth -= 1


def overhead_share(trainer: Trainer, folder: RunFolder, repetitions: int) -> float:
    """Return the share of an iteration that is neither simulation nor network.

    It is made of

    - what lies outside of collecting and learning: the transfer to the host, the check for
      numbers that are not finite, the row and the recorder's sinks, the evolution's judgement;
    - of what lies inside: the fitness tracker, the means of the metrics, and the diagnostics with
      all they compute, their own forward pass included;
    - checkpoints, divided by their interval; `best.pt` as if the leader were best at every look;
    - one generation, divided by the iterations between two of them.

    All that is left of collecting and learning counts as network: forward and backward passes,
    noise, losses, advantages, the optimiser, gathering minibatches and keeping the rollout.

    Args:
        trainer: after its warm-up.
        folder: where its checkpoints go.
        repetitions: iterations; the median counts.
    """
    whole, overhead = [], []
    stopwatch = OuterStopwatch(trainer.env.device)
    with ExitStack() as stack:
        stack.enter_context(timed(stopwatch, BOOKKEEPING, trainer.tracker, "update"))
        for method in ("add", "read"):
            stack.enter_context(timed(stopwatch, BOOKKEEPING, MetricMeans, method))
        for method in HOOKS:
            stack.enter_context(timed(stopwatch, BOOKKEEPING, Diagnostics, method))
        for _ in range(repetitions):
            whole.append(elapsed_s(trainer.env.device, trainer.iterate))
            row = trainer.last_metrics
            outside = whole[-1] - row["act_s"] - row["sim_s"] - row["learn_s"]
            overhead.append(outside + stopwatch.read()[BOOKKEEPING])
    rare = checkpoint_s(trainer, folder) + generation_s(trainer)
    return (statistics.median(overhead) + rare) / (statistics.median(whole) + rare)


def checkpoint_s(trainer: Trainer, folder: RunFolder) -> float:
    """Return the seconds that the checkpoints cost per iteration."""
    device = trainer.env.device
    last = elapsed_s(device, lambda: checkpoint.save(folder.last, trainer.state_dict()))
    best = elapsed_s(device, lambda: checkpoint.save(folder.best, trainer.policy_state()))
    return last / trainer.cfg.record.checkpoint_interval + best / BEST_INTERVAL


def generation_s(trainer: Trainer) -> float:
    """Return the seconds that generations cost per iteration, if every judgement leads to one."""
    if trainer.model.gene is None or not trainer.evolution.is_active:
        return 0.0
    interval = trainer.cfg.algo.evolution.interval_frames
    num_agents, frames = trainer.model.num_agents, trainer.frames_per_iteration
    always = replace(
        trainer.cfg.algo.evolution,
        interval_frames=frames,
        warmup_frames=0,
        trigger="interval",
        noise_guard=0.0,
    )
    known = torch.ones(num_agents, dtype=torch.float64)
    fitness = Fitness(torch.arange(num_agents).double(), known, known, known > 0)
    trainer.evolution = Evolution(always, num_agents, trainer.model.gene.shape[1], seed=0)
    trainer.evolution.step(0, fitness)
    snapshot = Snapshot({}, {}, fitness, {})
    seconds = elapsed_s(trainer.env.device, lambda: trainer.evolve(snapshot))
    return seconds * frames / max(interval, frames)
