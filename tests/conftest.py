"""Set-up of every test process."""

from __future__ import annotations

import os

# Before torch is imported. Parallel test processes share the cores: one thread each; alone two
# are enough for tensors of this size.
os.environ.setdefault("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2")
