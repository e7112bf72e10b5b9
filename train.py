"""Train a population of agents; `python train.py --help` lists what can be set."""

from __future__ import annotations

import sys

from epo.cli.compose import one_line_errors
from epo.cli.train import main
from epo.terminal import guard_streams

if __name__ == "__main__":
    guard_streams()
    with one_line_errors():
        main(sys.argv[1:])
