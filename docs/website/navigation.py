"""The navigation: what `mkdocs.yml` lists, and pages that nobody has placed yet."""

from __future__ import annotations

from typing import Any, Iterable, List, Set

HOME_OF_OTHERS = "How to"
"""Section that takes pages which the navigation does not name."""


def complete(nav: List[Any], written: Iterable[str]) -> List[Any]:
    """Return the navigation with every written page in it.

    Args:
        nav: as in `mkdocs.yml`.
        written: pages, paths below docs/.
    """
    missing = sorted(set(written) - listed(nav))
    return [
        {HOME_OF_OTHERS: [*item[HOME_OF_OTHERS], *missing]}
        if isinstance(item, dict) and HOME_OF_OTHERS in item
        else item
        for item in nav
    ]


def listed(nav: Any) -> Set[str]:
    """Return the pages that a navigation names."""
    if isinstance(nav, str):
        return {nav}
    children = nav.values() if isinstance(nav, dict) else nav
    return {page for child in children for page in listed(child)}
