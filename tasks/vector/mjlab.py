"""Tasks of mjlab, for `task=Mjlab task.id=...`; in an environment of its own, see docs/vector.md.

Source: mjlab 1.6 `tasks/registry.py`, `scripts/train.py`.
"""

from __future__ import annotations

import importlib
from typing import Any

from tasks.errors import check_choice, refuse

INSTALL = "pip install mjlab, in an environment of its own: it pins another MuJoCo (docs/vector.md)"


def make(id: str, num_envs: int, device: str, seed: int, **settings: Any) -> Any:
    """Build environments of a task that mjlab knows.

    Args:
        id: as `mjlab.tasks.registry.list_tasks` has it.
        num_envs: N.
        device: `cpu` or `cuda:<index>`.
        seed: of the global random numbers, which mjlab draws from.
        settings: fields of its `ManagerBasedRlEnvCfg`, such as `episode_length_s`.

    Raises:
        ValueError: at an unknown id or setting, with the nearest name.
    """
    try:
        importlib.import_module("mjlab.tasks")  # fills the registry
        registry = importlib.import_module("mjlab.tasks.registry")
        envs = importlib.import_module("mjlab.envs")
    except ImportError as error:
        refuse("task", "Mjlab", f"mjlab cannot be imported ({error}); {INSTALL}")
    check_choice("task.id", id, registry.list_tasks())
    cfg = registry.load_env_cfg(id)
    render_mode = settings.pop("render_mode", None)
    for name, value in settings.items():
        check_choice("task.kwargs", name, vars(cfg))
        setattr(cfg, name, value)
    cfg.scene.num_envs, cfg.seed = num_envs, seed
    # The adapter begins episodes itself: only so is their last observation to be had.
    cfg.auto_reset = False
    return envs.ManagerBasedRlEnv(cfg, "cuda:0" if device == "cuda" else device, render_mode)
