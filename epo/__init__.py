"""Population-based policy optimisation: PPO, SAPG and EPO on one learner.

cfg = epo.compose("task=Pendulum", "algo=ppo", "max_iterations=100")
run = epo.train(cfg)
policy = epo.load(run)
action = policy.act(observation)
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, List

if TYPE_CHECKING:
    from epo.library import check_env, compose, evaluate, load, make_env, register, train

__version__ = "0.1.0"
__all__ = ["check_env", "compose", "evaluate", "load", "make_env", "register", "train"]

OPENMP = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "5000"}
"""How torch's threads wait on a CPU, unless the user has set one of them: they spin for some 0.2 ms
between two operations and sleep after that.

Physics and network threads take turns on the same cores. GNU's default of some 13 ms makes the
learner alone 4 % faster, but keeps others from running: `docs/performance.md` has the figures.
"""

# Before torch is imported.
if not any(name in os.environ for name in OPENMP):
    os.environ.update(OPENMP)


def _find_own_tasks() -> None:
    """Import the package `tasks` that lies beside this one, whatever the working directory holds.

    A folder of that name is nothing special, and Python looks into the working directory first.
    """
    place = Path(__file__).resolve().parents[1] / "tasks" / "__init__.py"
    if "tasks" in sys.modules or not place.is_file():
        return
    folders = [str(place.parent)]
    spec = importlib.util.spec_from_file_location(
        "tasks", place, submodule_search_locations=folders
    )
    assert spec is not None and spec.loader is not None
    sys.modules["tasks"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["tasks"])


_find_own_tasks()


def __getattr__(name: str) -> Any:
    # Late: `import epo` answers at once, and Isaac Gym must be imported before torch.
    if name in __all__:
        return getattr(importlib.import_module("epo.library"), name)
    raise AttributeError(f"module 'epo' has no attribute {name!r}")


def __dir__() -> List[str]:
    return sorted([*globals(), *__all__])
