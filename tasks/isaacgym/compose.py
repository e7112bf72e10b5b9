"""The configuration of isaacgymenvs, composed from its own folder with our settings."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.engines.config import IsaacGymCfg
from tasks.errors import refuse
from tasks.isaacgym import settings

TASK_FILES = {
    1: ("AllegroKukaLSTM", "AllegroKuka"),
    2: ("AllegroKukaTwoArmsLSTM", "AllegroKukaTwoArms"),
}
"""Names of the same task by number of arms: which of them there are differs between versions."""


def compose_cfg(
    folder: Path,
    cfg: AllegroKukaCfg,
    engine_cfg: IsaacGymCfg,
    num_envs: int,
    device: str,
    seed: int,
) -> DictConfig:
    """Compose the whole configuration: the task's part refers to its root.

    Args:
        folder: isaacgymenvs' `cfg`.
        cfg: the task, already checked.
        engine_cfg: its overrides have the last word.
        num_envs: N.
        device: `cpu` or `cuda:<index>`, of physics and tensors alike.
        seed: passed on; these tasks do not apply it.

    Raises:
        ValueError: if there is no such task, or the overrides do not fit.
    """
    lines = [
        f"task={task_file(folder, cfg.num_arms)}",
        f"task/env={cfg.subtask}",
        *machine_overrides(num_envs, device, seed),
        *env_overrides(settings.values(cfg)),
        *engine_cfg.overrides,
    ]
    try:
        with _own_hydra(folder):
            return compose("config", overrides=lines)
    except (HydraException, OmegaConfBaseException) as error:
        reason = str(error).strip().partition("\n")[0]
        wrong = f"engine.overrides={engine_cfg.overrides} or " if engine_cfg.overrides else ""
        refuse("engine", "isaacgym", f"{wrong}{folder} does not fit our settings: {reason}")


def task_file(folder: Path, num_arms: int) -> str:
    """Name the file of `cfg/task` to use; that of `cfg/train` must exist as well.

    Raises:
        ValueError: if there is none.
    """
    for name in TASK_FILES[num_arms]:
        if (folder / f"task/{name}.yaml").is_file() and (
            folder / f"train/{name}PPO.yaml"
        ).is_file():
            return name
    names = " or ".join(f"{name}.yaml" for name in TASK_FILES[num_arms])
    way_out = f"{folder}/task has no {names}; install isaacgymenvs 1.5 or a fork of it"
    refuse("engine", "isaacgym", way_out)


def machine_overrides(num_envs: int, device: str, seed: int) -> List[str]:
    """Return where the simulation runs, and that nothing is drawn."""
    is_cpu = device == "cpu"
    # The physics wants an index behind `cpu`, torch does not; `use_gpu` is not in the file: ++.
    sim_device = "cpu:0" if is_cpu else device
    return [
        f"num_envs={num_envs}",
        f"seed={seed}",
        f"sim_device={sim_device}",
        f"rl_device={device}",
        f"pipeline={'cpu' if is_cpu else 'gpu'}",
        "headless=True",
        f"++task.sim.physx.use_gpu={not is_cpu}",
    ]


def env_overrides(values: Dict[str, Any]) -> List[str]:
    """Write keys of `task.env` as overrides; ++ also adds the keys that a version lacks."""
    return [f"++task.env.{key}={json.dumps(value)}" for key, value in values.items()]


@contextmanager
def _own_hydra(folder: Path) -> Iterator[None]:
    """Compose from another folder, also inside a run that Hydra started, and leave no trace."""
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(folder.resolve()), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = running
