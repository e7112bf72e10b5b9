"""Population-based policy optimisation: PPO, SAPG and EPO on one learner."""

import os

__version__ = "0.1.0"

# Before torch is imported: physics and network threads take turns on the same cores, and on a
# shared machine spinning threads of one keep the other from running (measured 10 times slower).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
