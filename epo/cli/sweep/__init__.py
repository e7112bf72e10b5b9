"""`python train.py -m`: many runs in one folder, each a process of its own, and their table."""

from epo.cli.sweep.job import is_multirun, run_in_process
from epo.cli.sweep.launcher import check
from epo.cli.sweep.session import session

__all__ = ["check", "is_multirun", "run_in_process", "session"]
