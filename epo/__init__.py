"""Population-based policy optimisation: PPO, SAPG and EPO on one learner."""

import os

__version__ = "0.1.0"

# Before torch is imported: physics and network threads take turns on the same cores, and spinning
# threads of one keep the other from running (on 4 busy cores: 2.9 k instead of 10.8 k frames/s).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
