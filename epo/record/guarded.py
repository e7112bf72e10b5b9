"""A sink that cannot end a run."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, Callable, Mapping, Optional

from epo.config import ConfigError
from epo.record.sink import Sink
from epo.terminal import say

FIRST_PAUSE_S = 60.0
LONGEST_PAUSE_S = 3600.0
Clock = Callable[[], float]


class Guarded:
    """Hand rows to a sink until it fails; say so once, and try it again after a pause.

    Rows of the pause are lost to this sink; `metrics.csv` has all of them.

    Args:
        name: of the sink, for the user.
        sink: where rows go; None: `open_sink` builds it at once.
        open_sink: builds it.
        reopen: builds it anew after a failure; None: as `open_sink`; without both the sink stays
            off.
        now: clock, s.

    Raises:
        ConfigError: if `open_sink` refuses a setting.
    """

    def __init__(
        self,
        name: str,
        sink: Optional[Sink] = None,
        open_sink: Optional[Callable[[], Sink]] = None,
        reopen: Optional[Callable[[], Sink]] = None,
        now: Clock = time.monotonic,
    ) -> None:
        self.name = name
        self._sink, self._open, self._now = sink, open_sink, now
        self._pause_s, self._again_at = FIRST_PAUSE_S, 0.0
        self._is_said = False
        if sink is None:
            self._reopen()
        self._open = reopen or open_sink

    def write(self, frames: int, metrics: Mapping[str, float]) -> None:
        """Hand on the numbers of one iteration."""
        self._hand_on(lambda sink: sink.write(frames, metrics))

    def generation(self, row: Mapping[str, Any]) -> None:
        """Hand on one generation."""
        self._hand_on(lambda sink: sink.generation(row))

    def close(self) -> None:
        """Close the sink."""
        if self._sink is not None:
            self._hand_on(lambda sink: sink.close())
        self._sink = self._open = None

    def _hand_on(self, call: Callable[[Sink], None]) -> None:
        if self._sink is None and self._open is not None and self._now() >= self._again_at:
            self._reopen()
        if self._sink is None:
            return
        try:
            call(self._sink)
        except Exception as error:
            self._switch_off(error)

    def _reopen(self) -> None:
        assert self._open is not None
        try:
            self._sink = self._open()
        except ConfigError:
            if not self._is_said:  # at the start: a wrong setting
                raise
            self._pause()
        except Exception as error:
            self._switch_off(error)
        else:
            if self._is_said:
                say(f"{self.name} is back", is_error=True)
                self._is_said = False

    def _switch_off(self, error: Exception) -> None:
        """Return the sink up, for now or for good."""
        if not self._is_said:
            what = "pauses" if self._open is not None else "is switched off"
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            say(f"warning: {self.name} {what} ({reason}); training continues", is_error=True)
            self._is_said = True
        broken, self._sink = self._sink, None
        if broken is not None:
            with suppress(Exception):
                broken.close()
        self._pause()

    def _pause(self) -> None:
        self._again_at = self._now() + self._pause_s
        self._pause_s = min(2.0 * self._pause_s, LONGEST_PAUSE_S)
