"""Values of spaces as rows of numbers, checked against their space on the way.

A box is flattened, a choice is one-hot, the parts of a dictionary or tuple follow each other: the
order and the numbers of Gymnasium's own `flatten`.
"""

from __future__ import annotations

import itertools
from typing import Any, List, Mapping, Optional, Protocol, Sequence, Tuple

import numpy as np
from gymnasium import Space, spaces

from tasks.gymnasium.guard import WrongValueError
from tasks.gymnasium.values import numbers


class Part(Protocol):
    """Writes the values of one space.

    Attributes:
        dim: length of a row.
    """

    dim: int

    def write(self, value: Any, row: np.ndarray) -> None:
        """Fill `row` [dim].

        Raises:
            WrongValueError: if the value is not of the space.
        """
        ...

    def label(self, column: int) -> str:
        """Name what stands in a column."""
        ...


def make_part(space: Space, name: str) -> Part:
    """Build what writes the values of `space`, which has a fixed length.

    Args:
        space: of the values.
        name: of the values, for messages.
    """
    if isinstance(space, (spaces.Box, spaces.MultiBinary)):
        return _Numbers(name, space)
    if isinstance(space, spaces.Discrete):
        return _Choices(name, (), np.array([space.n]), np.array([space.start]))
    if isinstance(space, spaces.MultiDiscrete):
        return _Choices(name, space.shape, space.nvec.reshape(-1), space.start.reshape(-1))
    if isinstance(space, spaces.Dict):
        return _Parts(name, list(space.spaces), list(space.spaces.values()))
    if isinstance(space, spaces.Tuple):
        return _Parts(name, None, list(space.spaces))
    return _Other(name, space)


class _Numbers:
    """A box, or bits."""

    def __init__(self, name: str, space: Space) -> None:
        assert space.shape is not None
        self._name, self._shape = name, space.shape
        self.dim = spaces.flatdim(space)

    def write(self, value: Any, row: np.ndarray) -> None:
        row[:] = numbers(self._name, value, self._shape).reshape(-1)

    def label(self, column: int) -> str:
        return _label(self._name, self._shape, column)


class _Choices:
    """One or several choices; component i is among `num[i]` that begin with `first[i]`."""

    def __init__(
        self, name: str, shape: Tuple[int, ...], num: np.ndarray, first: np.ndarray
    ) -> None:
        self._name, self._shape, self._num, self._first = name, shape, num, first
        self.dim = int(num.sum())
        self._offset = np.concatenate(([0], num.cumsum()[:-1])).astype(np.int64)

    def write(self, value: Any, row: np.ndarray) -> None:
        given = numbers(self._name, value, self._shape).reshape(-1)
        index = given - self._first
        if (index < 0).any() or (index >= self._num).any() or (index % 1).any():
            last = (self._first + self._num - 1).tolist()
            raise WrongValueError(
                f"{self._name} is {_short(given)}, its space goes from {_short(self._first)} "
                f"to {_short(last)}"
            )
        row[:] = 0
        row[self._offset + index.astype(np.int64)] = 1

    def label(self, column: int) -> str:
        component = int(np.searchsorted(self._offset, column, side="right")) - 1
        return _label(self._name, self._shape, component)


class _Parts:
    """A dictionary (with `keys`) or a tuple of other spaces."""

    def __init__(self, name: str, keys: Optional[Sequence[Any]], children: Sequence[Space]) -> None:
        self._name, self._keys = name, keys
        self._places: Sequence[Any] = range(len(children)) if keys is None else keys
        self._parts: List[Part] = [
            make_part(child, f"{name}[{place!r}]") for place, child in zip(self._places, children)
        ]
        self._ends = list(itertools.accumulate(part.dim for part in self._parts))
        self.dim = self._ends[-1] if self._ends else 0

    def write(self, value: Any, row: np.ndarray) -> None:
        if self._keys is not None and isinstance(value, Mapping):
            missing = [key for key in self._keys if key not in value]
            if missing:
                raise WrongValueError(f"{self._name} has no {missing[0]!r}, its space has")
        elif self._keys is not None:
            raise WrongValueError(f"{self._name} is a {type(value).__name__}, not a dictionary")
        elif not isinstance(value, (tuple, list)) or len(value) != len(self._parts):
            raise WrongValueError(f"{self._name} is not a tuple of {len(self._parts)}")
        start = 0
        for place, part, end in zip(self._places, self._parts, self._ends):
            part.write(value[place], row[start:end])
            start = end

    def label(self, column: int) -> str:
        i = next(i for i, end in enumerate(self._ends) if column < end)
        return self._parts[i].label(column - (self._ends[i] - self._parts[i].dim))


class _Other:
    """Any other space of fixed length."""

    def __init__(self, name: str, space: Space) -> None:
        self._name, self._space = name, space
        self.dim = spaces.flatdim(space)

    def write(self, value: Any, row: np.ndarray) -> None:
        row[:] = numbers(self._name, spaces.flatten(self._space, value), row.shape)

    def label(self, column: int) -> str:
        return _label(self._name, (self.dim,), column)


def _label(name: str, shape: Tuple[int, ...], index: int) -> str:
    at = ", ".join(str(int(i)) for i in np.unravel_index(index, shape)) if shape else ""
    return f"{name}[{at}]" if at else name


def _short(values: Any) -> str:
    listed = np.asarray(values).tolist()
    return str(listed[0] if len(listed) == 1 else listed)
