from __future__ import annotations

from typing import Any, Mapping

from epo.record.guarded import FIRST_PAUSE_S, Guarded


class Disk:
    """A place that may be full, and a sink that writes there."""

    def __init__(self) -> None:
        self.is_full = False
        self.rows: list = []
        self.num_opened = self.num_closed = 0

    def open(self) -> Disk:
        self._refuse_when_full()
        self.num_opened += 1
        return self

    def write(self, frames: int, metrics: Mapping[str, float]) -> None:
        self._refuse_when_full()
        self.rows.append(frames)

    def generation(self, row: Mapping[str, Any]) -> None:
        self.write(row["frames"], row)

    def close(self) -> None:
        self.num_closed += 1
        self._refuse_when_full()

    def _refuse_when_full(self) -> None:
        if self.is_full:
            raise OSError("full")


def test_sink_is_opened_anew_after_a_pause_that_doubles(capsys):
    disk, now = Disk(), [0.0]
    guarded = Guarded("TensorBoard", open_sink=disk.open, now=lambda: now[0])
    guarded.write(1, {})
    disk.is_full = True
    for now[0] in (1.0, 2.0, FIRST_PAUSE_S + 2.0, 2 * FIRST_PAUSE_S):
        guarded.write(2, {})
    assert disk.num_closed == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "warning: TensorBoard pauses (OSError: full); training continues"
    disk.is_full = False
    now[0] = 3 * FIRST_PAUSE_S + 1.0
    guarded.write(3, {})  # the second pause is twice as long
    assert disk.rows == [1]
    now[0] = 3 * FIRST_PAUSE_S + 2.0
    guarded.generation({"frames": 4})
    guarded.close()
    assert disk.rows == [1, 4]
    assert disk.num_opened == disk.num_closed == 2
    assert capsys.readouterr().err == "TensorBoard is back\n"


def test_sink_that_cannot_be_opened_anew_stays_off_and_closes_in_peace():
    disk = Disk()
    guarded = Guarded("W&B", disk, now=lambda: 1e9 * disk.num_closed)
    disk.is_full = True
    guarded.write(1, {})
    disk.is_full = False
    guarded.write(2, {})
    guarded.close()
    assert disk.rows == []
    assert disk.num_closed == 1
