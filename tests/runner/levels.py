"""The curriculum of a saved run, read as the Allegro-Kuka tasks do, without building one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Optional

from epo.runner.saved_run import SavedRun


def read_level(saved: SavedRun) -> Optional[float]:
    """Return the success tolerance that a checkpoint, or its row of metrics, holds."""
    from tasks.allegro_kuka.task import AllegroKuka

    task: Any = SimpleNamespace(level_name=AllegroKuka.level_name)
    task.level_of = lambda state, agent: AllegroKuka.level_of(task, state, agent)
    return saved.level(task)
