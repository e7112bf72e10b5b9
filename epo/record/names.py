"""Names of metrics that the trainer writes and a sink looks for."""

from __future__ import annotations

from typing import Dict, Sequence

AGENT_FITNESS = "agent_fitness/"
"""Prefix of the K metrics with every agent's fitness, see `agent_fitness`."""
FRAMES_TO_GENERATION = "population/frames_to_generation"
"""Metric with the frames left until the population is judged next."""


def agent_fitness(fitness: Sequence[float]) -> Dict[str, float]:
    """Name the fitness of K agents as metrics: `agent_fitness/07` is agent 7."""
    width = max(2, len(str(len(fitness) - 1)))
    return {f"{AGENT_FITNESS}{agent:0{width}d}": value for agent, value in enumerate(fitness)}
