"""Schedules of the clip range: constant, none, linear decay; PPO-BR is in `dual_signal`."""

from __future__ import annotations

import math
from typing import Any, Dict, NamedTuple, Protocol

from torch import Tensor

from epo.config import ClipCfg, PPOCfg
from epo.learner.losses import Bound


class Standing(NamedTuple):
    """What a schedule may use at the start of an update.

    Attributes:
        frames: environment frames before this rollout.
        entropy: [] mean entropy of the leader's policy in the rollout, nats.
        episode_return: [] mean undiscounted return of the leader's episodes that ended in the
            rollout, task units; NaN if none did.
    """

    frames: int
    entropy: Tensor
    episode_return: Tensor


class ClipRange(NamedTuple):
    """The ratio is clipped to [1 - low, 1 + high]."""

    low: Bound
    high: Bound


class ClipSchedule(Protocol):
    """The clip range of every update."""

    def begin_update(self, standing: Standing) -> ClipRange:
        """Return the range of the update that begins; called once per update."""
        ...

    def metrics(self) -> Dict[str, Tensor]:
        """Return what the last decision went by, name -> [] tensor; NaN is no value."""
        ...

    def state_dict(self) -> Dict[str, Any]:
        """Everything that changes."""
        ...

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        ...


class Stateless:
    """Base of schedules without state."""

    def metrics(self) -> Dict[str, Tensor]:
        """Nothing."""
        return {}

    def state_dict(self) -> Dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Do nothing."""


class Unclipped(Stateless):
    """No clipping: the surrogate is -r A."""

    def begin_update(self, standing: Standing) -> ClipRange:
        """Return an infinite range."""
        return ClipRange(math.inf, math.inf)


class Scheduled(Stateless):
    """`clip_eps`, constant or falling linearly with the frames.

    Args:
        cfg: decay.
        ppo: `clip_eps`, read again in every update.
    """

    def __init__(self, cfg: ClipCfg, ppo: PPOCfg) -> None:
        self.cfg = cfg
        self.ppo = ppo

    def begin_update(self, standing: Standing) -> ClipRange:
        """Return the same range below and above 1."""
        eps = self.ppo.clip_eps * decay(self.cfg, standing.frames)
        return ClipRange(eps, eps)


def decay(cfg: ClipCfg, frames: int) -> float:
    """Return the factor of `clip_eps` after `frames`: from 1 to `decay_to`, then constant."""
    if cfg.decay_frames is None:
        return 1.0
    return 1.0 - (1.0 - cfg.decay_to) * min(1.0, frames / cfg.decay_frames)
