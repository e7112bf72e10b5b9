"""Tables of the pages: every row has the cells of its head, else it is shown cut or split."""

from __future__ import annotations

import re
from pathlib import Path
from typing import List

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CELL_END = re.compile(r"(?<!\\)\|")


def uneven_rows(text: str) -> List[str]:
    """Return the rows of tables that have other numbers of cells than the rows above them."""
    found: List[str] = []
    width = 0
    for line in text.split("\n"):
        cells = len(CELL_END.findall(line)) if line.lstrip().startswith("|") else 0
        if width and cells and cells != width:
            found.append(line)
        width = cells
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_rows_have_the_cells_of_their_head(page: Path):
    assert uneven_rows(page.read_text(encoding="utf-8")) == []


def test_a_row_in_the_middle_of_another_is_found():
    table = "| a | b |\n| --- | --- |\n| 1 | [x](y) | 2 |\n| rest |\n| `p \\| q` | 2 |"
    assert uneven_rows(table) == ["| 1 | [x](y) | 2 |", "| rest |", "| `p \\| q` | 2 |"]
