"""The clock of an episode: who sees it, and how spread it is over the environments."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Optional

if TYPE_CHECKING:
    from torch import Tensor


class Clock(NamedTuple):
    """How a task measures the time of its episodes.

    Attributes:
        time_limit: H, control steps; None: there is no limit; 0: known once it is built.
        is_observed: the observation tells how late it is.
        is_truncated: the limit truncates; otherwise it ends the episode for good.
    """

    time_limit: Optional[int]
    is_observed: bool
    is_truncated: bool


def clock_spread(elapsed: Tensor, time_limit: int) -> Tensor:
    """Return the standard deviation [] over environments of elapsed / H.

    0 where all episodes are at the same age, 0.289 where ages are uniform in [0, H).

    Args:
        elapsed: [N] control steps since the episodes began.
        time_limit: H.
    """
    return (elapsed.float() / time_limit).std(correction=0)
