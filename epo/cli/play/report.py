"""What the episodes reached, as a table."""

from __future__ import annotations

from typing import List, Sequence

from epo.runner.evaluator import Episode, averages


def summary(labels: Sequence[str], ended: Sequence[Episode], running: Sequence[Episode]) -> str:
    """Tabulate the means over each actor's episodes, those that have not ended apart.

    Args:
        labels: [N] who acts in each world.
        ended: episodes that ended.
        running: episodes that have not ended.
    """
    columns = list(averages([*ended, *running]))
    if not columns:
        return ""
    table = [["", "episodes", *columns]]
    for actor in dict.fromkeys(labels):
        for label, episodes in ((actor, ended), ("  not ended", running)):
            own = [episode for episode in episodes if labels[episode.env] == actor]
            if own or label == actor:
                means = averages(own)
                cells = [f"{means[column]:.4g}" if own else "-" for column in columns]
                table.append([label, str(len(own)), *cells])
    return _aligned(table)


def _aligned(table: Sequence[Sequence[str]]) -> str:
    """Write rows with the first column to the left and the others to the right."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    lines: List[str] = []
    for first, *others in table:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:])]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip() + "\n")
    return "".join(lines)
