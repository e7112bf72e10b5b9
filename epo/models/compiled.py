"""What torch compiles: fewer, larger kernels for the same numbers."""

from __future__ import annotations

from typing import Any, Callable, TypeVar, Union

import torch
from torch import nn

from epo.config import ConfigError

OLDEST_TORCH = (2, 5)
"""torch 2.4 cannot trace the LSTM; 2.13 was tried."""

BACKEND: Union[str, Callable[..., Any]] = "inductor"
"""What turns a traced program into kernels: a name that torch knows, or a function."""

MAX_PROGRAMS = 64
"""Of one function, for its shapes in all runs of a process; torch's own limit is 8."""

T = TypeVar("T")


def compile_network(network: nn.Module) -> None:
    """Compile the forward pass, and the backward pass that goes with it, in place.

    There is one program for each shape of input: a step of the rollout, a minibatch, the
    relabelled sequences. A part that cannot be compiled is an error, never a slow detour. The
    names of the parameters stay.

    Raises:
        ConfigError: if this torch is too old.
    """
    _prepare_torch()
    network.compile(fullgraph=True, dynamic=False, backend=BACKEND)


def compiled(function: Callable[..., T]) -> Callable[..., T]:
    """Return a function of tensors and numbers that is compiled, whole, where it is called.

    The program is the same for all shapes and numbers that it meets after the first ones.

    Raises:
        ConfigError: if this torch is too old.
    """
    _prepare_torch()
    return torch.compile(function, fullgraph=True, backend=BACKEND)


def _prepare_torch() -> None:
    major, minor = torch.__version__.split(".")[:2]
    if (int(major), int(minor)) < OLDEST_TORCH:
        way_out = f"torch {torch.__version__} cannot trace the networks; use compile=false or a "
        raise ConfigError("compile", "true", way_out + "later torch")
    from torch._dynamo import config  # Takes a second to import.

    config.cache_size_limit = MAX_PROGRAMS
