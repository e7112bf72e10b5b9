"""What a run does when something goes wrong."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class GuardCfg:
    """The flight recorder, and numbers that are not finite (docs/failures.md)."""

    flight_recorder: bool = True
    """Keep the state before every iteration in memory. At a failure it is saved as `last.pt`, and
    `failure/<time>/` in the run folder shows what happened; off, all since the last checkpoint is
    lost. It costs one copy of networks, optimiser and environments, and some ms an iteration."""
    on_nonfinite: str = "stop"
    """`stop` at a loss or gradient that is not finite, or `skip`: leave the minibatch out, count it
    in `health/skipped_minibatches` (`algo.trainer=ppo` only)."""
    max_skipped: int = 100
    """With `skip`: stop after more minibatches in a row than this."""
    max_rollout_mb: int = 512
    """Largest rollout that is written to the folder of a failure, MB."""
    rank_timeout_s: float = 600.0
    """Where several ranks train (`devices`): one that the others wait for longer than this hangs,
    and the run ends, s. Longer than a checkpoint takes to write, or an evaluation."""
