"""The settings that a run leaves, read quickly: some commands read those of hundreds of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from omegaconf._utils import get_yaml_loader

_OMEGACONF: Any = get_yaml_loader()
"""What OmegaConf makes of scalars: 1e-5 is a number, a date is text."""

try:
    from yaml.cyaml import CParser  # pyright: ignore[reportAttributeAccessIssue]
except ImportError:  # PyYAML without libyaml
    _Loader = _OMEGACONF
else:

    class _Loader(CParser, _OMEGACONF):
        """Parses in C what takes 15 times as long in Python."""

        def __init__(self, stream: Any) -> None:
            CParser.__init__(self, stream)
            yaml.constructor.SafeConstructor.__init__(self)
            yaml.resolver.Resolver.__init__(self)


def read_yaml(path: Path) -> Any:
    """Return the content of a file as plain types; references such as `${name}` stay text.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no UTF-8.
        yaml.YAMLError: if it is no YAML.
    """
    with open(path, encoding="utf-8") as file:
        return yaml.load(file, Loader=_Loader)
