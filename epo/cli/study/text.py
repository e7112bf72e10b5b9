"""Numbers and paragraphs as a page of results shows them."""

from __future__ import annotations

import math
import textwrap
from typing import Sequence

from epo.cli.study.statistics import Interval

WIDTH = 100
"""Columns of a paragraph; tables have no limit."""
UNKNOWN = "–"


def number(value: float, digits: int = 4) -> str:
    """Write a number with at least so many significant digits; a dash for NaN."""
    if math.isnan(value):
        return UNKNOWN
    size = abs(value)
    if not size or not 1e-4 <= size < 1e9:
        return f"{value:.{digits}g}"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(size)))}f}"


def with_error(value: float, error: float) -> str:
    """Write a mean and its standard error, both to the second digit of the error."""
    if math.isnan(error) or not 1e-4 <= error < 1e9:
        return f"{number(value)} ± {number(error)}"
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def interval(estimate: Interval, digits: int = 3) -> str:
    """Write an estimate with its 95 % interval."""
    if math.isnan(estimate.value):
        return UNKNOWN
    low, high = (number(bound, digits) for bound in (estimate.low, estimate.high))
    return f"{number(estimate.value, digits)} [{low}, {high}]"


def probability(p: float) -> str:
    """Write a p-value with four decimals."""
    if math.isnan(p):
        return UNKNOWN
    return "<0.0001" if p < 1e-4 else f"{p:.4f}"


def equation(p: str) -> str:
    """Write `p = 0.0495` or `p < 0.0001`."""
    return f"p < {p[1:]}" if p.startswith("<") else f"p = {p}"


def paragraph(text: str) -> str:
    """Wrap a paragraph."""
    return textwrap.fill(" ".join(text.split()), WIDTH, break_on_hyphens=False)


def items(lines: Sequence[str]) -> str:
    """Write a list, wrapped."""
    return "\n".join(
        textwrap.fill(f"- {line}", WIDTH, subsequent_indent="  ", break_on_hyphens=False)
        for line in lines
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
