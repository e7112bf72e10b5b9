"""Progress of a verb that takes more than a moment, on the error stream of a terminal."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Callable, Iterator

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar, which disappears at the end; nothing where there is no terminal.

    Yields:
        What is to be told how much of `total` is done.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    is_hidden = not console.is_terminal
    bar = Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=is_hidden
    )
    with bar:
        task = bar.add_task(escape(label), total=total)
        yield lambda done: bar.update(task, completed=done)
