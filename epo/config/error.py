"""The error of a wrong setting."""

from __future__ import annotations


class ConfigError(ValueError):
    """A setting that cannot work; the message names it, its value and the way out."""

    def __init__(self, setting: str, value: object, way_out: str) -> None:
        super().__init__(f"{setting}={value}: {way_out}")
