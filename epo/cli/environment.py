"""From a command line to environments: here, and in train.py alone, `epo` meets `tasks`."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Iterator, List, Sequence, Tuple

from hydra.core.config_store import ConfigStore

import epo.config
import tasks.config
from epo.cli import compose
from epo.config import Config, ConfigError
from epo.validation import resolve, validate

if TYPE_CHECKING:
    from epo.envs import VecEnv

CONFIG_DIR = Path(__file__).resolve().parents[2] / "cfg"
"""Folder that holds `config.yaml`."""


def register() -> None:
    """Tell Hydra the schemas of everything in `cfg/`."""
    for schema in (epo.config, tasks.config):
        schema.register(ConfigStore.instance())


def check(arguments: Sequence[str]) -> List[Config]:
    """Compose and validate a command line, the task's own settings included.

    Returns:
        What would run, as in `epo.cli.compose.check`; nothing where a flag only informs.

    Raises:
        ConfigError: at the first mistake.
    """
    with _task_errors():
        return compose.check(
            arguments, CONFIG_DIR, validate, lambda cfg: tasks.config.check(cfg.task, cfg.engine)
        )


def ready(cfg: Config) -> Tuple[Config, List[str]]:
    """Replace every `auto` by what this machine offers, the engine included.

    Returns:
        The configuration to run, and a line for every choice.

    Raises:
        ConfigError: if the device or the engine is not there.
    """
    with _task_errors():
        cfg, choices = resolve(cfg, tasks.config.devices(cfg.task, cfg.engine))
        return cfg, choices + tasks.config.choose_engine(cfg.task, cfg.engine, cfg.device)


def make_env(cfg: Config) -> VecEnv:
    """Build the task on its engine.

    Raises:
        ConfigError: if a setting turns out impossible.
    """
    import torch

    from tasks.registry import make

    device = torch.device(cfg.device)
    with _task_errors():
        return make(cfg.task, cfg.engine, cfg.num_envs, device, cfg.seed, cfg.num_agents)


class TaskError(ConfigError):
    """A setting of task or engine that cannot work, in the task's own words."""

    def __init__(self, error: ValueError) -> None:
        ValueError.__init__(self, str(error))


@contextmanager
def _task_errors() -> Iterator[None]:
    """Report what tasks refuse like every other wrong setting."""
    try:
        yield
    except ConfigError:
        raise
    except ValueError as error:
        raise TaskError(error) from error
