"""Names of metrics that the trainer writes and a sink looks for."""

from __future__ import annotations

from typing import Dict, Iterable, List, Mapping, Sequence, Tuple

AGENT_FITNESS = "agent_fitness/"
"""Prefix of the K metrics with every agent's fitness, see `agent_fitness`."""
FRAMES_TO_GENERATION = "population/frames_to_generation"
"""Metric with the frames left until the population is judged next."""


def headline(names: Iterable[str], metrics: Mapping[str, float]) -> List[Tuple[str, str]]:
    """Return label and column of a task's headline numbers, as far as there are columns.

    Args:
        names: as in `EnvSpec.headline`.
        metrics: those of an iteration, or all columns of a run.
    """
    columns = ((name, column) for name in names for column in (f"leader/{name}", name))
    found: Dict[str, str] = {}
    for name, column in columns:
        if column in metrics:  # of the leader, or else of the whole task
            found.setdefault(name, column)
    return [(name.replace("_", " "), column) for name, column in found.items()]


def agent_fitness(fitness: Sequence[float]) -> Dict[str, float]:
    """Name the fitness of K agents as metrics: `agent_fitness/07` is agent 7."""
    width = max(2, len(str(len(fitness) - 1)))
    return {f"{AGENT_FITNESS}{agent:0{width}d}": value for agent, value in enumerate(fitness)}
