"""Train a population of agents; `python train.py --help` lists what can be set."""

from __future__ import annotations

import sys

import hydra
from omegaconf import DictConfig

from epo.cli import environment, sweep
from epo.cli.compose import one_line_errors, typed
from epo.cli.guidance import HELP_FLAGS, help_text
from epo.terminal import guard_streams
from epo.world import settle


@hydra.main(version_base="1.3", config_path=str(environment.CONFIG_DIR), config_name="config")
def job(cfg: DictConfig) -> None:
    """Run once; Hydra calls it for every run of a sweep."""
    with one_line_errors():
        if sweep.is_multirun():
            sweep.run_in_process(typed(cfg))
        else:
            sys.exit(environment.train(typed(cfg)))


if __name__ == "__main__":
    guard_streams()
    settle()
    environment.register()
    with one_line_errors():
        if HELP_FLAGS & set(sys.argv[1:]):
            print(help_text(environment.CONFIG_DIR))
        else:
            sweep.check(sys.argv[1:])
            environment.check(sys.argv[1:])
            with sweep.session(sys.argv):
                job()
