"""Settings as tables: name, default, and the doc line that stands below the field in its class."""

from __future__ import annotations

import ast
import inspect
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, Dict, Iterator, List, NamedTuple


class Setting(NamedTuple):
    """One setting.

    Attributes:
        name: dotted.
        value: in this configuration.
        doc: its doc line.
    """

    name: str
    value: Any
    doc: str


def walk(cfg: Any, prefix: str) -> Iterator[Setting]:
    """Yield every setting below a filled configuration class, groups in the order of the class.

    Args:
        cfg: instance of a dataclass.
        prefix: dotted name of `cfg`, with a dot at its end.
    """
    docs = doc_lines(type(cfg))
    for field in fields(cfg):
        value = getattr(cfg, field.name)
        if is_dataclass(value):
            yield from walk(value, f"{prefix}{field.name}.")
        else:
            yield Setting(prefix + field.name, value, docs.get(field.name, ""))


def doc_lines(schema: type) -> Dict[str, str]:
    """Return field -> doc line of a dataclass and of those that it inherits from."""
    found: Dict[str, str] = {}
    for base in reversed(schema.__mro__):
        if is_dataclass(base):
            found.update(_own_lines(base))
    return found


@lru_cache(maxsize=None)
def _own_lines(schema: type) -> Dict[str, str]:
    tree = ast.parse(inspect.cleandoc(inspect.getsource(schema)))
    body = tree.body[0].body  # pyright: ignore[reportAttributeAccessIssue]
    found = {}
    for field, text in zip(body, body[1:]):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            name = field.target.id  # pyright: ignore[reportAttributeAccessIssue]
            found[name] = " ".join(ast.literal_eval(text.value).split())
    return found


def table(settings: Iterator[Setting]) -> List[str]:
    """Return the lines of a Markdown table."""
    rows = [f"| `{s.name}` | {show(s.value)} | {escape(s.doc)} |" for s in settings]
    return ["| setting | value | meaning |", "| --- | --- | --- |", *rows]


def show(value: Any) -> str:
    """Return a value as it is written on the command line."""
    if value is None:
        return "`null`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, (list, tuple)):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`" if value != "" else "`''`"


def escape(text: str) -> str:
    """Return text that a cell of a table can hold; code stays as it is."""
    parts = text.replace("|", "\\|").split("`")
    parts[::2] = [part.replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)
