"""A copy of a nested state that is renewed in place: no allocation after the first time."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

import torch
from torch import Tensor


class StateCopy:
    """What `state_dict` gave at one moment, while its tensors continue changing.

    Tensors are copied on their own device and without waiting for it.
    """

    def __init__(self) -> None:
        self._tensors: List[Tensor] = []
        self._frame: Any = None
        self._is_whole = False

    @torch.no_grad()
    def take(self, state: Dict[str, Any]) -> None:
        """Copy `state`, nested dicts, lists and tuples of plain values and tensors."""
        tensors: List[Tensor] = []
        frame = _frame(state, tensors)
        self._is_whole = False
        if tensors and _have_same_form(self._tensors, tensors):
            # One call copies all of them.
            torch._foreach_copy_(self._tensors, tensors)  # pyright: ignore[reportPrivateImportUsage]
        else:
            self._tensors = [tensor.detach().clone() for tensor in tensors]
        self._frame, self._is_whole = frame, True

    def read(self) -> Optional[Dict[str, Any]]:
        """Return the copy; None before the first one, or if the last one broke off.

        Its tensors are renewed by the next `take`.
        """
        return _fill(self._frame, self._tensors) if self._is_whole else None


class _Slot(int):
    """The place of a tensor, by its number."""


def _frame(value: Any, tensors: List[Tensor]) -> Any:
    """Copy the containers and put every tensor aside."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return _Slot(len(tensors) - 1)
    if isinstance(value, dict):
        copy = type(value)()
        for name, item in value.items():
            copy[name] = _frame(item, tensors)
        return copy
    if isinstance(value, (list, tuple)):
        return type(value)([_frame(item, tensors) for item in value])
    return value


def _fill(frame: Any, tensors: List[Tensor]) -> Any:
    """Put the tensors back."""
    if isinstance(frame, _Slot):
        return tensors[frame]
    if isinstance(frame, dict):
        copy = type(frame)()
        for name, item in frame.items():
            copy[name] = _fill(item, tensors)
        return copy
    if isinstance(frame, (list, tuple)):
        return type(frame)([_fill(item, tensors) for item in frame])
    return frame


def _have_same_form(ours: List[Tensor], theirs: List[Tensor]) -> bool:
    return len(ours) == len(theirs) and all(
        a.shape == b.shape and a.dtype == b.dtype and a.device == b.device
        for a, b in zip(ours, theirs)
    )
