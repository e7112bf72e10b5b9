"""Stand-ins for names of other packages, in one module only: everybody else keeps the real ones."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest


class StandIn:
    """Another module or object, but for some of its attributes."""

    def __init__(self, real: Any, **attributes: Any) -> None:
        self._real = real
        self.__dict__.update(attributes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def replace_in(module: ModuleType, path: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace what `module` alone sees under `path`, such as `os.fsync`, for the time of a test.

    Args:
        module: one of ours; it has imported the first name of `path`.
        path: dotted name below that.
        value: what stands there.
        monkeypatch: undoes it.
    """
    first, *others = path.split(".")
    seen = [getattr(module, first)]
    for name in others[:-1]:
        seen.append(getattr(seen[-1], name))
    for real, name in zip(reversed(seen), reversed(others)):
        value = StandIn(real, **{name: value})
    monkeypatch.setattr(module, first, value)
