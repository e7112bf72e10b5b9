"""Settings of the probes."""

from __future__ import annotations

from dataclasses import dataclass

PROBE_KINDS = ("value", "discount", "policy", "memory", "gene", "hidden", "reach")


@dataclass
class ProbeCfg:
    """A probe task."""

    kind: str = "probe"
    """Family of the task, as the registry knows it."""
    name: str = "ProbeReach"
    """Task name, as in `task=<name>`."""
    probe: str = "reach"
    """What is asked: value, discount, policy, memory, gene, hidden or reach."""
    episode_length: int = 50
    """Control steps per episode (ours: short enough for tests)."""
