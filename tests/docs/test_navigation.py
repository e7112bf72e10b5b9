"""Every page is found, also one that the navigation does not name."""

from __future__ import annotations

from docs.website.navigation import complete, listed

NAV = [
    {"Home": "index.md"},
    {"Tasks": ["tasks/README.md", {"Classic": ["tasks/a.md"]}]},
    {"How to": ["x.md"]},
    {"Results": ["results/README.md"]},
]


def test_pages_are_listed_at_every_depth():
    assert listed(NAV) == {"index.md", "tasks/README.md", "tasks/a.md", "x.md", "results/README.md"}


def test_page_without_a_place_ends_among_the_how_to_pages():
    found = complete(NAV, ["index.md", "tasks/a.md", "x.md", "new.md"])
    assert found == [*NAV[:2], {"How to": ["x.md", "new.md"]}, NAV[3]]


def test_result_without_a_place_ends_among_the_results():
    found = complete(NAV, ["results/README.md", "results/new/README.md"])
    assert found == [*NAV[:3], {"Results": ["results/README.md", "results/new/README.md"]}]
