"""Curves and results that papers report of the Allegro-Kuka tasks, to be drawn beside one's own.

All numbers are successes per episode of the leader, mean and standard error over seeds, with 24,576
environments. Training continues its curriculum, so a plateau near 3 means that the tolerance still
shrinks: 3 successes are what its next step asks for.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Sequence, Tuple

COLUMN = "leader/successes"
"""The column that the numbers stand for."""


class Published(NamedTuple):
    """A curve, or a result at the end of training.

    Attributes:
        name: algorithm and source, for the legend.
        frames: environment frames of the points; empty: a result at the end alone.
        mean: successes per episode.
        error: standard error over seeds.
    """

    name: str
    frames: List[float]
    mean: List[float]
    error: List[float]


_BILLION = 1e9
_MARKS = (1.0, 2.0, 3.0, 4.0, 5.0)


def _curve(name: str, *points: Tuple[float, float], marks: Sequence[float] = _MARKS) -> Published:
    frames = [_BILLION * mark for mark in marks]
    return Published(name, frames, [mean for mean, _ in points], [error for _, error in points])


def _result(name: str, mean: float, error: float) -> Published:
    return Published(name, [], [mean], [error])


# Result tables of the EPO repository (YifanSu1301/EPO, branch `page`), 2 % of the frames around a
# mark; 5 seeds, SAPG and EPO-16 4 (SAPG at 5e9: 3).
_REORIENTATION = [
    _curve("PPO (EPO repo)", (1.8, 0.3), (0.6, 0.4), (0.9, 0.4), (0.9, 0.4), (1.0, 0.3)),
    _curve("SAPG-6 (EPO repo)", (3.0, 0.1), (3.6, 0.7), (5.5, 2.4), (8.9, 3.1), (14.5, 4.0)),
    _curve("EPO-8 (EPO repo)", (2.7, 0.2), (3.0, 0.2), (4.0, 1.2), (5.4, 1.9), (7.6, 2.6)),
    _curve("EPO-16 (EPO repo)", (3.0, 0.5), (4.3, 0.7), (8.6, 1.5), (15.6, 1.0), (20.7, 0.7)),
    _curve("EPO-32 (EPO repo)", (5.5, 0.7), (10.7, 1.7), (18.4, 0.9), (23.7, 0.9), (27.8, 0.7)),
    _curve("EPO-64 (EPO repo)", (8.2, 1.1), (13.0, 1.4), (21.9, 1.9), (26.8, 1.7), (30.3, 0.8)),
]  # fmt: skip

_EPO = "EPO-64, end (arXiv 2503.19037, table 1)"
_SAPG = "SAPG-6, 2e10 frames (arXiv 2407.20230)"
PUBLISHED: Dict[str, List[Published]] = {
    "AllegroKukaReorientation": _REORIENTATION,
    "AllegroKukaRegrasping": [_result(_EPO, 32.1, 1.21), _result(_SAPG, 35.7, 1.46)],
    "AllegroKukaThrow": [_result(_EPO, 16.4, 0.99), _result(_SAPG, 23.7, 0.74)],
    "AllegroKukaTwoArmsRegrasping": [_result(_EPO, 24.1, 2.55)],
    "AllegroKukaTwoArmsReorientation": [_result(_EPO, 35.8, 1.64)],
    "AllegroKukaTwoArmsReorientationPartition": [_result(_EPO, 31.8, 6.04)],
    "AllegroKukaTwoArmsReorientationHole": [_result(_EPO, 24.7, 7.06)],
    "AllegroKukaTwoArmsReorientationBarrier": [_result(_EPO, 7.7, 6.5)],
}
"""Task -> what is known of it."""
