"""Fences of `math` as MathML: browsers draw it without a script and without a network."""

from __future__ import annotations

from typing import Any

from latex2mathml.converter import convert


def fence(source: str, language: str, css_class: str, options: Any, md: Any, **kwargs: Any) -> str:
    """Return the HTML of a fence that holds LaTeX; a format for pymdownx.superfences."""
    lines = [convert(line, display="block") for line in source.strip().split("\n\n")]
    return f'<div class="{css_class}">{"".join(lines)}</div>'
