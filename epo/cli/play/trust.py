"""Code that a run folder asks to import: only with the user's word, since it may be anybody's."""

from __future__ import annotations

import sys
from typing import Any, List, Mapping, Sequence

from epo.cli import environment, plugins
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
    is_trusted = TRUST in given
    given = check_plugins(settings, source, given)
    # The family that the task asks may be one of theirs.
    saved = overrides({plugins.NAME: list(settings.get(plugins.NAME) or ())})
    environment.load_plugins(merge(saved, given))
    module = environment.imported_module(settings["task"])
    if module is None or is_trusted:
        return given
    task = overrides({"task": settings["task"]})
    asking = {line for line in task if line.partition("=")[0] in _IDS}
    if asking.intersection(merge(task, given)):
        name = next(name for name in ("env_id", "make") if settings["task"].get(name))
        _ask(module, source, f"task.{name}={settings['task'][name]}")
    return given


def check_plugins(settings: Mapping[str, Any], source: str, given: Sequence[str]) -> List[str]:
    """Refuse plugins that only a run's own `config.yaml` names, as `check_trust`."""
    others = [word for word in given if word != TRUST]
    saved = [str(name) for name in settings.get(plugins.NAME) or ()]
    is_trusted = len(others) < len(given) or any(w.startswith("plugins=") for w in others)
    if saved and not is_trusted:
        _ask(", ".join(saved), source, f"plugins=[{','.join(saved)}]")
    return others


def _ask(module: str, source: str, naming: str) -> None:
    """Ask at a terminal whether a module may be imported.

    Raises:
        ConfigError: if there is nobody to ask, or the answer is no.
    """
    if sys.stdin.isatty() and sys.stderr.isatty():
        question = f"config.yaml of {source} imports the module {module!r}, whose code then runs."
        print(f"{question} Import it? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
    raise ConfigError(
        "checkpoint",
        source,
        f"its config.yaml asks to import the module {module!r}, whose code would run; if you trust "
        f"it add {naming} or {TRUST}",
    )
