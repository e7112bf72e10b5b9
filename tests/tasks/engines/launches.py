"""Which kernels the GPU engine launches on a CUDA device, found out without one.

Launches are written down instead of done, and the code that asks for the device is told of a CUDA
device. So branches are taken and kernels built as on a GPU; arrays stay on the CPU, unchanged.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, Dict, Set, Tuple

import torch
import warp as wp

from tasks.allegro_kuka.robot_worlds import RobotWorlds
from tasks.allegro_kuka.scene import task_scene
from tasks.allegro_kuka.worlds import Worlds
from tasks.engines.config import MujocoWarpCfg
from tests.tasks.allegro_kuka.doubles import task_cfg
from tests.tasks.engines.driving import everywhere

H200 = SimpleNamespace(is_cuda=True, is_cpu=False, sm_count=132, arch=90, alias="cuda:0")
NUM_ENVS = 64


class Launches:
    """Stand in for Warp's launches while `patch` holds.

    Attributes:
        blocks: (module, threads per block) -> names of its kernels that are launched.
    """

    def __init__(self, patch: Any) -> None:
        self.blocks: Dict[Tuple[Any, int], Set[str]] = {}
        get_device = wp.get_device
        for name in ("launch", "launch_tiled"):
            patch.setattr(wp, name, self._launch)
        for name in ("capture_while", "capture_if"):
            patch.setattr(wp, name, _call)
        # Without an argument it is the current device, whose kind decides what is launched.
        patch.setattr(wp, "get_device", lambda *name: get_device(*name) if name else H200)
        patch.setattr(wp, "is_conditional_graph_supported", lambda: True)

    def _launch(self, kernel: Any, dim: Any, *_: Any, block_dim: int = 256, **__: Any) -> None:
        # Kernels without threads are never compiled.
        if math.prod(dim if isinstance(dim, (tuple, list)) else (dim,)):
            assert not kernel.is_generic
            self.blocks.setdefault((kernel.module, block_dim), set()).add(kernel.key)


def _call(condition: Any, **bodies: Any) -> None:
    """Run what a graph would run under a condition, once."""
    arguments = {name: value for name, value in bodies.items() if not name.endswith(_BODIES)}
    for name in _BODIES:
        if bodies.get(name) is not None:
            bodies[name](**arguments)


_BODIES = ("while_body", "on_true", "on_false")


def launches_of(task: str, patch: Any) -> Launches:
    """Write down what a simulation of `task` launches: set-up, a step, a reset."""
    launches = Launches(patch)
    cfg = task_cfg(task)
    model, layout = task_scene(cfg, "settled")
    worlds = Worlds(torch.full((NUM_ENVS, 3), 0.025), torch.full((NUM_ENVS,), 0.05))
    sim = RobotWorlds(model, layout, worlds, MujocoWarpCfg(graph=False), torch.device("cpu"))
    sim.set_state(everywhere(sim), sim.joint_pos, sim.joint_vel, sim.object_pose)
    return launches
