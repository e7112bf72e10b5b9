"""The navigation: what `mkdocs.yml` lists, and pages that nobody has placed yet."""

from __future__ import annotations

from typing import Any, Iterable, List, Set

HOME_OF_OTHERS = "How to"
"""Section that takes pages which the navigation does not name."""
HOME_OF_RESULTS = "Results"
"""Section that takes those of them below docs/results/."""


def complete(nav: List[Any], written: Iterable[str]) -> List[Any]:
    """Return the navigation with every written page in it.

    Args:
        nav: as in `mkdocs.yml`.
        written: pages, paths below docs/.
    """
    missing = sorted(set(written) - listed(nav))
    results = [page for page in missing if page.startswith("results/")]
    others = [page for page in missing if page not in results]
    more = {HOME_OF_OTHERS: others, HOME_OF_RESULTS: results}
    return [
        {name: [*pages, *more[name]] if name in more else pages for name, pages in item.items()}
        if isinstance(item, dict)
        else item
        for item in nav
    ]


def listed(nav: Any) -> Set[str]:
    """Return the pages that a navigation names."""
    if isinstance(nav, str):
        return {nav}
    children = nav.values() if isinstance(nav, dict) else nav
    return {page for child in children for page in listed(child)}
