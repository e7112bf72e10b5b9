"""Several processes that train one population: who they are, what they add up, who owns what.

A *rank* is one of the processes of a run. Every rank holds a slice of every agent's block of
environments and the same networks. Whoever needs a number of the whole run asks `Ranks` for it;
of a single process it is the number that was there before. How it works: `docs/multi_gpu.md`.
"""

from epo.ranks.alone import ALONE, Ranks
from epo.ranks.deal import Deal, Share

__all__ = ["ALONE", "Deal", "Ranks", "Share"]
