"""Nested settings by their dotted names."""

from __future__ import annotations

from typing import Any, Dict, Mapping


def flat(tree: Mapping[str, Any], prefix: str = "") -> Dict[str, Any]:
    """Return dotted name -> value of every leaf of `tree`; empty groups have none."""
    leaves: Dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            leaves.update(flat(value, f"{prefix}{name}."))
        else:
            leaves[f"{prefix}{name}"] = value
    return leaves
