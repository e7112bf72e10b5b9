"""Stand-in for isaacgymenvs: its resolvers, its configuration tree, its `make`."""

import sys
from typing import Any

from omegaconf import OmegaConf

if "isaacgym" not in sys.modules:
    raise ImportError("isaacgymenvs needs isaacgym")
# As the real one: importing it twice would raise here.
OmegaConf.register_new_resolver("eq", lambda x, y: x.lower() == y.lower())
OmegaConf.register_new_resolver("contains", lambda x, y: x.lower() in y.lower())
OmegaConf.register_new_resolver("if", lambda pred, a, b: a if pred else b)
OmegaConf.register_new_resolver(
    "resolve_default", lambda default, arg: default if arg == "" else arg
)


def make(
    seed,
    task,
    num_envs,
    sim_device,
    rl_device,
    graphics_device_id=-1,
    headless=False,
    multi_gpu=False,
    virtual_screen_capture=False,
    force_render=True,
    cfg: Any = None,
):
    """Create the task that `cfg` describes."""
    from isaacgymenvs.tasks import isaacgym_task_map  # pyright: ignore[reportMissingImports]

    plain: Any = OmegaConf.to_container(cfg.task, resolve=True)
    return isaacgym_task_map[plain["name"]](
        cfg=plain,
        rl_device=rl_device,
        sim_device=sim_device,
        graphics_device_id=graphics_device_id,
        headless=headless,
        virtual_screen_capture=virtual_screen_capture,
        force_render=force_render,
    )
