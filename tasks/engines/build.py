"""From a model and the settings of an engine to worlds."""

from __future__ import annotations

from typing import Any

import torch

from tasks.engines.model import Model
from tasks.engines.simulator import Fields, Simulator


def make_simulator(
    model: Model,
    engine_cfg: Any,
    num_envs: int,
    device: torch.device,
    fields: Fields | None = None,
) -> Simulator:
    """Build N worlds of a model.

    Args:
        model: what is simulated.
        engine_cfg: checked, its engine chosen: `mujoco` or `mujoco_warp`.
        num_envs: N.
        device: where all tensors live.
        fields: what differs between the worlds; None: nothing.

    Raises:
        ValueError: if a field has another shape, or N worlds do not fit.
    """
    if engine_cfg.name == "mujoco":
        from tasks.engines.mujoco import MujocoSimulator

        return MujocoSimulator(model, num_envs, fields, num_threads=engine_cfg.num_threads)
    from tasks.engines.mujoco_warp import MujocoWarpSimulator

    return MujocoWarpSimulator(model, num_envs, fields, engine_cfg, device)
