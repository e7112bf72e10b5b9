"""Train a population of agents; `python train.py --help` lists what can be set."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig

import epo.config
import tasks.config
from epo.cli.compose import check, one_line_errors, typed
from epo.cli.multirun import is_multirun, run_in_process
from epo.config import Config
from epo.validation import resolve, validate

if TYPE_CHECKING:
    from epo.envs import VecEnv

CONFIG_DIR = Path(__file__).resolve().parent / "cfg"


@hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name="config")
def job(cfg: DictConfig) -> None:
    """Run once; Hydra calls it for every run of a sweep."""
    if is_multirun():
        run_in_process(__file__)
        return
    with one_line_errors():
        config = typed(cfg)
        config, choices = resolve(config, tasks.config.devices(config.task, config.engine))
    with one_line_errors(ValueError):
        choices += tasks.config.choose_engine(config.task, config.engine, config.device)
    print(*choices, sep="\n", flush=True)
    with one_line_errors():
        # Imports torch: what came before answered at once.
        from epo.runner.run import run

        sys.exit(run(config, make_env))


def make_env(cfg: Config) -> VecEnv:
    """Build the task on its engine."""
    import torch

    from tasks.registry import make

    device = torch.device(cfg.device)
    with one_line_errors(ValueError):
        return make(cfg.task, cfg.engine, cfg.num_envs, device, cfg.seed, cfg.num_agents)


if __name__ == "__main__":
    for schema in (epo.config, tasks.config):
        schema.register(ConfigStore.instance())
    with one_line_errors(ValueError):
        check(sys.argv[1:], CONFIG_DIR, validate, lambda cfg: tasks.config.check(cfg.task))
    job()
