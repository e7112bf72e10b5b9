"""Population-based policy optimisation: PPO, SAPG and EPO on one learner."""

import os

__version__ = "0.1.0"

OPENMP = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "5000"}
"""How torch's threads wait on a CPU, unless the user has set one of them: they spin for some 0.2 ms
between two operations and sleep after that.

Physics and network threads take turns on the same cores. GNU's default of some 13 ms makes the
learner alone 4 % faster, but keeps others from running: `docs/performance.md` has the figures.
"""

# Before torch is imported.
if not any(name in os.environ for name in OPENMP):
    os.environ.update(OPENMP)
