"""Code that a run folder asks to import: only with the user's word, since it may be anybody's."""

from __future__ import annotations

import sys
from typing import Sequence

from epo.cli import environment
from epo.cli.overrides import merge, overrides
from epo.config import ConfigError
from epo.runner.saved_run import SavedRun

_IDS = ("task.env_id", "task.kwargs.env_id")
"""Settings that may name a module, see `tasks.gymnasium.config.imported_module`."""


def check_trust(saved: SavedRun, given: Sequence[str], is_trusted: bool) -> None:
    """Refuse to import a module that only the run's own `config.yaml` names.

    At a terminal the user is asked.

    Args:
        saved: the run.
        given: settings of the command line; what it names is trusted.
        is_trusted: the user trusts the folder.

    Raises:
        ConfigError: naming the module and the way out.
    """
    module = environment.imported_module(saved.settings["task"])
    task = overrides({"task": saved.settings["task"]})
    asking = {line for line in task if line.partition("=")[0] in _IDS}
    if module is None or is_trusted or not asking.intersection(merge(task, given)):
        return
    env_id = saved.settings["task"]["env_id"]
    if sys.stdin.isatty() and sys.stderr.isatty():
        question = f"{saved.folder.config} imports the module {module!r}, whose code then runs."
        print(f"{question} Import it? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
    raise ConfigError(
        "checkpoint",
        saved.file,
        f"its config.yaml asks to import the module {module!r}, whose code would run; if you trust "
        f"it add task.env_id={env_id} or trust=true",
    )
