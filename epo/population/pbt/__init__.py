"""Population based training: mutation of settings, who copies whom, the members' bookkeeping."""

from epo.population.pbt.decision import (
    Decision,
    Ranking,
    Standing,
    decide,
    obstacle,
    rank,
    rescue,
)
from epo.population.pbt.members import Bookkeeping, Clock
from epo.population.pbt.mutation import Settings, mutate

__all__ = [
    "Bookkeeping",
    "Clock",
    "Decision",
    "Ranking",
    "Settings",
    "Standing",
    "decide",
    "mutate",
    "obstacle",
    "rank",
    "rescue",
]
