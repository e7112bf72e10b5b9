"""Code that a run folder asks to import: only with the user's word, since it may be anybody's."""

from __future__ import annotations

import sys
from typing import Any, List, Mapping, Sequence

from epo.cli import environment
from epo.cli.overrides import merge, overrides
from epo.config import ConfigError

TRUST = "trust=true"
_IDS = ("task.env_id", "task.kwargs.env_id", "task.make")
"""Settings that may name a module, see `tasks.gymnasium.config.imported_module`."""


def check_trust(settings: Mapping[str, Any], source: str, given: Sequence[str]) -> List[str]:
    """Refuse to import a module that only a run's own `config.yaml` names.

    At a terminal the user is asked.

    Args:
        settings: content of the file.
        source: checkpoint of the run, for messages.
        given: settings of the command line; what they name is trusted, and with `trust=true`
            everything.

    Returns:
        `given` without `trust=true`.

    Raises:
        ConfigError: naming the module and the way out.
    """
    others = [word for word in given if word != TRUST]
    module = environment.imported_module(settings["task"])
    if module is None or len(others) < len(given):
        return others
    task = overrides({"task": settings["task"]})
    asking = {line for line in task if line.partition("=")[0] in _IDS}
    if not asking.intersection(merge(task, others)):
        return others
    if sys.stdin.isatty() and sys.stderr.isatty():
        question = f"config.yaml of {source} imports the module {module!r}, whose code then runs."
        print(f"{question} Import it? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return others
    name = next(name for name in ("env_id", "make") if settings["task"].get(name))
    raise ConfigError(
        "checkpoint",
        source,
        f"its config.yaml asks to import the module {module!r}, whose code would run; if you trust "
        f"it add task.{name}={settings['task'][name]} or {TRUST}",
    )
