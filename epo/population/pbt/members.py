"""What is remembered of a member besides its networks, and when members are compared."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Dict, Optional, Sequence, Tuple

from epo.population.pbt.mutation import Settings


@dataclass
class Bookkeeping:
    """The books of one member.

    Attributes:
        settings: its mutable settings.
        objective: present objective, task units; NaN: not known yet.
        best_seen: highest objective since the last comparison, task units.
        changed_at: its frames when it was changed last.
        history: whose weights it had: (member, its frames when they were copied, objective).
    """

    settings: Settings
    objective: float = math.nan
    best_seen: float = -math.inf
    changed_at: int = 0
    history: Sequence[Tuple[int, int, float]] = ()

    def see(self, objective: float) -> None:
        """Record the present objective; NaN: it is not known."""
        self.objective = objective
        if objective > self.best_seen:
            self.best_seen = objective

    def state_dict(self) -> Dict[str, Any]:
        """Return everything as plain values."""
        return asdict(self)

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue where `state_dict` was taken.

        Raises:
            ValueError: if other settings were mutable.
        """
        if set(state["settings"]) != set(self.settings):
            saved = ", ".join(sorted(state["settings"]))
            raise ValueError(f"algo.pbt.mutable was {saved}")
        for name, value in state.items():
            setattr(self, name, value)


class Clock:
    """When members are compared: at every multiple of an interval of a member's own frames.

    Attributes:
        iteration: multiples that have been dealt with; None before the first look.
    """

    def __init__(self, interval_frames: int) -> None:
        self.interval_frames = interval_frames
        self.iteration: Optional[int] = None

    def is_due(self, frames: int, are_all_known: bool, patience: Optional[int]) -> bool:
        """Return whether to compare now; the first call only notes the time.

        Args:
            frames: of a member.
            are_all_known: whether every objective that is waited for is known.
            patience: intervals that are waited for unknown objectives; None: for ever.
        """
        now = frames // self.interval_frames
        if self.iteration is None:
            self.iteration = now
        overdue = now - self.iteration
        if are_all_known or patience is None:
            return overdue > 0 and are_all_known
        return overdue > patience

    def tick(self, frames: int) -> int:
        """Note that the comparison of this time was made, and give its number."""
        self.iteration = frames // self.interval_frames
        return self.iteration

    def frames_left(self, frames: int) -> int:
        """Count a member's frames to the next comparison."""
        begun = frames // self.interval_frames if self.iteration is None else self.iteration
        return max(0, (begun + 1) * self.interval_frames - frames)

    def state_dict(self) -> Dict[str, Any]:
        """Return everything that changes."""
        return {"iteration": self.iteration}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.iteration = state["iteration"]
