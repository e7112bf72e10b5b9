"""What a run takes of the memory: its buffers by name, and one line about them."""

from __future__ import annotations

from typing import Any, Dict, Iterator, Set, Tuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from epo.memory import binary
from epo.runner.loop import Loop

FOREIGN = ("env", "cfg", "recorder", "evaluation", "last_metrics")
"""What a loop refers to and does not own."""
NUM_NAMED = 3
"""Largest buffers that the line names."""


def buffers(loop: Loop) -> Dict[str, int]:
    """Measure every tensor that a way of training holds, the environments' left out.

    Parameters, their gradients and the optimiser's moments are one entry each; moments exist after
    the first step only. Views of one storage count once.

    Returns:
        Dotted name, such as `collector.rollout.observation`, -> bytes; the largest first.
    """
    sizes: Dict[str, int] = {}
    seen: Set[int] = set()
    for name, tensor in _tensors(loop, "", set()):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            sizes[name] = sizes.get(name, 0) + storage.nbytes()
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def line(loop: Loop) -> str:
    """Say in one line what the buffers take before training begins, the largest by name."""
    sizes = buffers(loop)
    named = [
        f"{name.rpartition('.')[2]} {binary(n)}" for name, n in list(sizes.items())[:NUM_NAMED]
    ]
    return f"buffers {binary(sum(sizes.values()))} on {loop.env.device} ({', '.join(named)}, …)"


def _tensors(value: Any, name: str, seen: Set[int]) -> Iterator[Tuple[str, Tensor]]:
    """Return the tensors below an object with the names of what holds them."""
    if isinstance(value, Tensor):
        yield name, value.detach()
        return
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, nn.Module):
        for parameter in value.parameters():
            yield f"{name}.parameters", parameter.detach()
            if parameter.grad is not None:
                yield f"{name}.gradients", parameter.grad
        for tensor in value.buffers():
            yield f"{name}.statistics", tensor
    elif isinstance(value, Optimizer):
        for state in value.state.values():
            yield from (
                (f"{name}.moments", item) for item in state.values() if torch.is_tensor(item)
            )
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _tensors(item, f"{name}.{key}".lstrip("."), seen)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item, name, seen)
    elif any(base.__module__.startswith("epo.") for base in type(value).__mro__):
        own = {**getattr(value, "__dict__", {})}
        for key, item in own.items():
            if key not in FOREIGN:
                yield from _tensors(item, f"{name}.{key.lstrip('_')}".lstrip("."), seen)
