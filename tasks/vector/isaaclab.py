"""Tasks of Isaac Lab, for `task=IsaacLab task.id=...`; in its own environment, see docs/vector.md.

Not run on Isaac Lab itself: written after its documentation and public code, and tested against a
double of its contract.

Source: Isaac Lab 3.0 `isaaclab.app`, `isaaclab_tasks.utils`; 2.3 `isaaclab.app.AppLauncher`.
"""

from __future__ import annotations

import argparse
import importlib
from contextlib import ExitStack
from typing import Any

from tasks.errors import check_choice, refuse

INSTALL = "install it as its documentation says, and epo into the same environment (docs/vector.md)"


def make(id: str, num_envs: int, device: str, seed: int, **settings: Any) -> Any:
    """Start the simulation that a task needs, and build its environments; one per process.

    Args:
        id: as registered with Gymnasium.
        num_envs: N.
        device: `cpu` or `cuda:<index>`.
        seed: of the global random numbers, which Isaac Lab draws from.
        settings: fields of the task's configuration, such as `episode_length_s`.

    Raises:
        ValueError: if it is not installed, or at an unknown id or setting.
    """
    try:
        app = importlib.import_module("isaaclab.app")
    except ImportError as error:
        refuse("task", "IsaacLab", f"Isaac Lab cannot be imported ({error}); {INSTALL}")
    device = "cuda:0" if device == "cuda" else device
    open_until_closed = ExitStack()
    try:
        launcher = None
        if not hasattr(app, "launch_simulation"):  # 2.x: the application comes before the tasks
            launcher = app.AppLauncher(headless=True, device=device)
            open_until_closed.callback(launcher.app.close)
        gymnasium = importlib.import_module("gymnasium")
        utils = importlib.import_module("isaaclab_tasks.utils")
        check_choice("task.id", id, [n for n in gymnasium.registry if n.startswith("Isaac")])
        if launcher is None:
            cfg, _ = utils.resolve_task_config(id, None)
        else:
            cfg = utils.parse_env_cfg(id, device=device, num_envs=num_envs)
        _set(cfg, num_envs, device, seed, settings)
        if launcher is None:
            arguments = _arguments(app, device)
            open_until_closed.enter_context(app.launch_simulation(cfg, arguments))
        env = gymnasium.make(id, cfg=cfg)
    except BaseException:
        open_until_closed.close()
        raise
    return _Closing(env, open_until_closed)


class _Closing:
    """The environments, whose end is also that of the simulation."""

    def __init__(self, env: Any, resources: ExitStack) -> None:
        self._env, self._resources = env, resources

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def close(self) -> None:
        """Close the environments, then the simulation."""
        try:
            self._env.close()
        finally:
            self._resources.close()


def _set(cfg: Any, num_envs: int, device: str, seed: int, settings: Any) -> None:
    for name, value in settings.items():
        check_choice("task.kwargs", name, [n for n in dir(cfg) if not n.startswith("_")])
        setattr(cfg, name, value)
    cfg.scene.num_envs, cfg.seed, cfg.sim.device = num_envs, seed, device
    # Since 3.0: the last observation of an episode, which its reset would hide.
    if hasattr(cfg, "compute_final_obs"):
        cfg.compute_final_obs = True


def _arguments(app: Any, device: str) -> argparse.Namespace:
    """Return the launcher's own defaults, without a window."""
    parser = argparse.ArgumentParser()
    app.add_launcher_args(parser)
    arguments = parser.parse_args([])
    arguments.device = device
    return arguments
