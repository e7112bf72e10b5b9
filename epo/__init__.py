"""Population-based policy optimisation: PPO, SAPG and EPO on one learner."""

import os

__version__ = "0.1.0"

OPENMP = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}
"""How torch's threads wait on a CPU, unless the user has set one of them: they spin for some 50 us
between two operations and sleep after that.

Physics and network threads take turns on the same cores. GNU's default of milliseconds keeps the
others from running (on 4 busy cores: 2.9 k instead of 10.8 k frames/s), and without any spinning
the learner alone is slower by a tenth.
"""

# Before torch is imported.
if not any(name in os.environ for name in OPENMP):
    os.environ.update(OPENMP)
