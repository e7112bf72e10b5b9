"""What a bench says in the end: a table for people and lines of JSON for programs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Callable, Dict, NamedTuple, Optional, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from epo.cli.bench.timing import Rate

Row = Dict[str, Any]
UNKNOWN = "–"
"""Cell of what was not measured."""
WIDTH_OF_FILES = 200
"""Columns of a table that is not written to a terminal."""


class Column(NamedTuple):
    """A column of the table: its header, and the text of a row's cell."""

    header: str
    text: Callable[[Row], str]


def print_table(title: str, columns: Sequence[Column], rows: Sequence[Row]) -> None:
    """Print one line per row."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for column in columns:
        table.add_column(column.header, justify="right", overflow="fold")
    for row in rows:
        table.add_row(*(column.text(row) for column in columns))
    Console(width=None if sys.stdout.isatty() else WIDTH_OF_FILES).print(table)


def print_json(**content: Any) -> None:
    """Print the content as one line of JSON."""
    print(json.dumps(_rounded(content), ensure_ascii=False, allow_nan=False), flush=True)


def rate_fields(name: str, rate: Optional[Rate]) -> Row:
    """Return median, least and greatest as three entries of a row; None where nothing was timed."""
    values = (None, None, None) if rate is None else rate
    return {name: values[0], f"{name}_min": values[1], f"{name}_max": values[2]}


def rate_column(header: str, name: str) -> Column:
    """Show what `rate_fields` put into a row: the median, and the range behind it."""

    def text(row: Row) -> str:
        if row[name] is None:
            return UNKNOWN
        return f"{row[name]:,.0f} ({row[f'{name}_min']:,.0f}–{row[f'{name}_max']:,.0f})"

    return Column(header, text)


def ratio_text(row: Row) -> str:
    """Show the median of a row's `ratio`, and the range behind it."""
    if row["ratio"] is None:
        return UNKNOWN
    return f"{row['ratio']:.2f} ({row['ratio_min']:.2f}–{row['ratio_max']:.2f})"


def number_column(header: str, name: str, form: str = "{:,.0f}") -> Column:
    """Show a number in the given form, and a dash where it was not measured."""
    return Column(header, lambda row: UNKNOWN if row[name] is None else form.format(row[name]))


def _rounded(value: Any) -> Any:
    """Keep five digits of every float, however deep."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return value
