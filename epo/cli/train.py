"""`epo train`, and `python train.py` in a checkout: from a command line to a run or a sweep."""

from __future__ import annotations

import sys
from typing import Sequence

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from epo.cli import environment
from epo.cli.compose import MULTIRUN_FLAGS, one_line_errors, typed
from epo.cli.guidance import HELP_FLAGS, help_text
from epo.cli.search_path import settled, told_to_hydra
from epo.cli.sweep import launcher
from epo.world import settle


def main(words: Sequence[str]) -> None:
    """Check the settings, then train.

    Raises:
        ConfigError: at a wrong setting.
        SystemExit: with the code of the run.
    """
    settle()
    environment.register()
    words = settled(words)
    environment.load_plugins(words)
    if HELP_FLAGS & set(words):
        print(help_text(environment.CONFIG_DIR, words))
        return
    launcher.check(words)
    found = environment.configurations(words)
    is_multirun = bool(MULTIRUN_FLAGS & set(words))
    if found and not is_multirun:
        sys.argv[1:] = words  # what a run records and repeats
        sys.exit(environment.train(found[0]))
    sys.argv[1:] = told_to_hydra(words)  # Hydra reads them there
    if not is_multirun:
        _job()  # only informs
        return
    from epo.cli.sweep.session import session  # imports torch

    with session(sys.argv):
        _job()


@hydra.main(version_base="1.3", config_path=str(environment.CONFIG_DIR), config_name="config")
def _job(cfg: DictConfig) -> None:
    """Run once; Hydra calls it for every run of a sweep, and for its own flags such as --run."""
    with one_line_errors():
        if HydraConfig.get().mode != RunMode.MULTIRUN:
            sys.exit(environment.train(typed(cfg)))
        from epo.cli.sweep.job import run_in_process

        run_in_process(typed(cfg))
