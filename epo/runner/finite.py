"""Whether everything that a run would continue from is finite."""

from __future__ import annotations

import math
from typing import Any, Iterator, List, Mapping, Optional, Tuple

import torch
from torch import Tensor

from epo.runner.guard import NonFiniteError

UNKNOWN: Mapping[str, float] = {
    # No leader, and no member, has been judged yet.
    "best_fitness": -math.inf,
    "best_known": -math.inf,
    "books.best_seen": -math.inf,
    "books.objective": math.nan,
    "weight_distance": math.nan,
    # PPO-BR has seen no episode end; its window is not full.
    "clip.entropy": math.nan,
    "clip.change": math.nan,
    "clip.values": math.nan,
    # Environments that have ended no episode.
    "returns.last": math.nan,
}
"""End of the path of a number -> the value that it has while it is unknown, beside finite ones."""


def check_finite_state(state: Mapping[str, Any]) -> None:
    """Refuse a state with a NaN or an infinity in it, except those that mean unknown.

    Tensors are looked at on their own device; there is one transfer for each device.

    Args:
        state: nested containers of plain values and tensors.

    Raises:
        NonFiniteError: naming the first such value.
    """
    tensors: List[Tuple[str, Tensor]] = []
    for path, value in _leaves(state, ""):
        if isinstance(value, Tensor):
            if value.is_floating_point() or value.is_complex():
                tensors.append((path, value))
        elif isinstance(value, float) and not _is_fine(path, value):
            raise _error(path, str(value))
    flags = [_is_sound(path, value).all() for path, value in tensors]
    for device in {flag.device for flag in flags}:
        here = torch.stack([flag for flag in flags if flag.device == device])
        if not bool(here.all()):  # Sync point: one for each device.
            break
    else:
        return
    path, value = next(pair for pair, flag in zip(tensors, flags) if not flag)
    bad = ~_is_sound(path, value)
    raise _error(path, f"{value[bad].flatten()[0].item()} at {int(bad.sum())} of {value.numel()}")


def _leaves(value: Any, path: str) -> Iterator[Tuple[str, Any]]:
    """Return every value with its path."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _leaves(item, f"{path}[{i}]")
    else:
        yield path, value


def _unknown(path: str) -> Optional[float]:
    """Return the value that means unknown under `path`; None if there is none."""
    ends = (".".join(path.split(".")[-length:]) for length in (1, 2))
    return next((UNKNOWN[end] for end in ends if end in UNKNOWN), None)


def _is_fine(path: str, value: float) -> bool:
    unknown = _unknown(path)
    if math.isnan(value):
        return unknown is not None and math.isnan(unknown)
    return math.isfinite(value) or value == unknown


def _is_sound(path: str, value: Tensor) -> Tensor:
    """Tell of every element whether it may be saved."""
    is_finite, unknown = torch.isfinite(value), _unknown(path)
    if unknown is None:
        return is_finite
    return is_finite | (value.isnan() if math.isnan(unknown) else value == unknown)


def _error(path: str, found: str) -> NonFiniteError:
    return NonFiniteError(
        f"the state of the run is not finite ({path} is {found}) and is not saved"
    )
