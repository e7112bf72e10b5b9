"""Values that environments give, checked where they come in."""

from __future__ import annotations

from typing import Any, Optional, Tuple

import numpy as np

from epo.envs import LARGEST_VALUE
from tasks.gymnasium.guard import WrongValueError

LARGEST = LARGEST_VALUE
_NUMBERS = "biuf"
"""Kinds of real numbers in numpy: bool, integers, floats."""


def numbers(name: str, value: Any, shape: Tuple[int, ...]) -> np.ndarray:
    """Return `value` as an array of numbers.

    Args:
        name: of what it is, for the message.
        value: anything an environment may give.
        shape: what it must have, except axes of length 1.

    Raises:
        WrongValueError: if it has another shape, or is not an array of numbers.
    """
    try:
        array = np.asarray(value)
    except Exception as error:  # of lists of unequal lengths, or of foreign arrays
        raise WrongValueError(
            f"{name} is not an array of numbers ({type(value).__name__})"
        ) from error
    if array.dtype.kind not in _NUMBERS:
        of = type(value).__name__ if array.ndim == 0 else f"array of {array.dtype}"
        raise WrongValueError(f"{name} is not an array of numbers ({of})")
    if array.shape != shape and _long_axes(array.shape) != _long_axes(shape):
        given, wanted = list(array.shape), list(shape)
        raise WrongValueError(f"{name} has shape {given}, it must have {wanted}")
    return array


def number(name: str, value: Any) -> float:
    """Return a single number; an array of one is taken for it.

    Raises:
        WrongValueError: if it is anything else.
    """
    if type(value) is float:
        return value
    array = numbers(name, value, ())
    return float(array.reshape(()))


def flag(name: str, value: Any) -> bool:
    """Return a yes or no; an array of one is taken for it.

    Raises:
        WrongValueError: if it is anything else.
    """
    return value if type(value) is bool else bool(number(name, value))


def find_unusable(array: np.ndarray) -> Optional[Tuple[int, ...]]:
    """Find the first element [N, ...] that nothing can be learned from; None: all are fine.

    That is one that is not finite or larger than `LARGEST`.
    """
    if not array.size or array.dtype.kind != "f":
        return None
    if array.max() <= LARGEST and array.min() >= -LARGEST:  # both are False for NaN
        return None
    wrong = ~(np.abs(array) <= LARGEST)
    return tuple(int(i) for i in np.unravel_index(int(wrong.argmax()), array.shape))


def _long_axes(shape: Tuple[int, ...]) -> Tuple[int, ...]:
    return tuple(length for length in shape if length != 1)
