"""Whether everything that a run would go on from is finite."""

from __future__ import annotations

import math
from typing import Any, Iterator, List, Mapping, Tuple

import torch
from torch import Tensor

from epo.runner.guard import NonFiniteError

UNKNOWN = {
    "best_fitness": "no leader has been judged yet",
    "best_known": "no member has been judged yet",
    "best_seen": "a member has no objective since the last comparison",
    "objective": "a member has no objective yet",
    "weight_distance": "members have not been compared yet",
}
"""Names of numbers that are NaN or infinite while something is unknown -> what is unknown."""


def check_finite_state(state: Mapping[str, Any]) -> None:
    """Refuse a state with a NaN or an infinity in it, but for those that mean unknown.

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
        elif isinstance(value, float) and not math.isfinite(value):
            raise _error(path, str(value))
    flags = [torch.isfinite(value).all() for _, value in tensors]
    for device in {flag.device for flag in flags}:
        here = torch.stack([flag for flag in flags if flag.device == device])
        if not bool(here.all()):  # Sync point: one for each device.
            break
    else:
        return
    path, value = next(pair for pair, flag in zip(tensors, flags) if not flag)
    bad = ~torch.isfinite(value)
    raise _error(path, f"{value[bad].flatten()[0].item()} at {int(bad.sum())} of {value.numel()}")


def _leaves(value: Any, path: str, name: str = "") -> Iterator[Tuple[str, Any]]:
    """Give every value with its path; those under a name of `UNKNOWN` are left out."""
    if name in UNKNOWN:
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key), str(key))
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _leaves(item, f"{path}[{i}]")
    else:
        yield path, value


def _error(path: str, found: str) -> NonFiniteError:
    return NonFiniteError(
        f"the state of the run is not finite ({path} is {found}) and is not saved"
    )
