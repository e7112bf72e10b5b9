"""Networks compiled by torch: fewer, larger kernels for the same numbers."""

from __future__ import annotations

import torch
from torch import nn

from epo.config import ConfigError

OLDEST_TORCH = (2, 5)
"""torch 2.4 cannot trace the LSTM; 2.13 was tried."""


def compile_network(network: nn.Module) -> None:
    """Compile the forward pass, and the backward pass that goes with it, in place.

    There is one program for each shape of input: a step of the rollout, a minibatch, the
    relabelled sequences. A part that cannot be compiled is an error, never a slow detour. The
    names of the parameters stay.

    Raises:
        ConfigError: if this torch is too old.
    """
    major, minor = torch.__version__.split(".")[:2]
    if (int(major), int(minor)) < OLDEST_TORCH:
        way_out = f"torch {torch.__version__} cannot trace the networks; use compile=false or a "
        raise ConfigError("compile", "true", way_out + "later torch")
    network.compile(fullgraph=True, dynamic=False)
