"""Which tasks can begin their first episodes at staggered times."""

from __future__ import annotations

from typing import Optional, Protocol

from epo.config import Config, ConfigError

_NO = "use staggered_starts=false"


class Clock(Protocol):
    """What matters of a task's clock, which is known before there are environments."""

    @property
    def time_limit(self) -> Optional[int]:
        """H, control steps; None: episodes have no time limit."""
        ...

    @property
    def is_observed(self) -> bool:
        """Return whether the observation tells how late it is."""
        ...

    @property
    def is_truncated(self) -> bool:
        """Return whether the time limit truncates; otherwise it ends the episode for good."""
        ...


def check_staggered(cfg: Config, clock: Optional[Clock]) -> None:
    """Refuse staggered starts where the first, artificial cut would teach something wrong.

    Where neither the clock is observed nor the cut bootstrapped, the critic learns that fresh
    states end at once.

    Args:
        cfg: of the run.
        clock: of its task; None: no clock that can be set.

    Raises:
        ConfigError: if they cannot be had, with the way out.
    """
    if not cfg.staggered_starts:
        return
    if clock is None:
        task = f"{cfg.task.name} on engine={cfg.engine.name}"
        raise ConfigError("staggered_starts", "true", f"the clock of {task} cannot be set; {_NO}")
    if clock.time_limit is None:
        way_out = f"episodes have no time limit; use task.max_episode_steps=<steps>, or {_NO[4:]}"
        raise ConfigError("staggered_starts", "true", way_out)
    if clock.is_observed or (clock.is_truncated and _bootstraps(cfg)):
        return
    way_out = "the clock is not observed, so the critic would learn that fresh states end at once; "
    if clock.is_truncated:
        way_out += "use algo.ppo.bootstrap_truncated=true, or staggered_starts=false"
    else:
        way_out += _NO
    raise ConfigError("staggered_starts", "true", way_out)


def _bootstraps(cfg: Config) -> bool:
    """Return whether the value of the final state replaces what a time limit cut off."""
    return cfg.algo.trainer == "pql" or bool(cfg.algo.ppo.bootstrap_truncated)
