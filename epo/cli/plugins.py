"""Modules of one's own, which register components: `plugins=[my_package.my_module]`.

They are imported before a configuration is composed, since they add to its settings. Only the
command line is asked: what a saved run names is imported where its user agrees (`play/trust.py`).
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, List, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from epo.config import ConfigError
from epo.exceptions import one_line
from epo.quoting import unquoted

NAME = "plugins"


def named(words: Sequence[str]) -> List[str]:
    """Return the modules that `plugins=[...]` names, the last one of them.

    Raises:
        ConfigError: if it is no list of names.
    """
    lines = [word for word in words if word.startswith(f"{NAME}=")]
    if not lines:
        return []
    text = lines[-1].partition("=")[2]
    try:
        value: Any = OverridesParser.create().parse_override(lines[-1]).value()
    except HydraException:
        value = None
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        names = [unquoted(str(item)) for item in value]
        if all(part.isidentifier() for name in names for part in name.split(".")):
            return names
    raise ConfigError(NAME, text, "give a list of modules, such as plugins=[my_package.my_module]")


def import_all(names: Sequence[str]) -> None:
    """Import modules from where Python finds them, or else from the current folder.

    Raises:
        ConfigError: if one cannot be imported.
    """
    here = os.getcwd()
    if names and here not in sys.path and "" not in sys.path:
        sys.path.append(here)  # last, it hides nothing
    for name in names:
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as error:  # noqa: PERF203 (foreign code)
            way_out = f"cannot be imported ({one_line(error)})"
            if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
                way_out = f"there is no module {error.name}; run where its file lies (now {here}), "
                way_out += "install it, or set PYTHONPATH"
            raise ConfigError(NAME, name, way_out) from error
