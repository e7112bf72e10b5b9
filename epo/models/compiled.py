"""Networks compiled by torch: fewer, larger kernels for the same numbers."""

from __future__ import annotations

from torch import nn


def compile_network(network: nn.Module) -> None:
    """Compile the forward pass, and the backward pass that goes with it, in place.

    There is one program for each shape of input: a step of the rollout, a minibatch, the
    relabelled sequences. A part that cannot be compiled is an error, never a slow detour. The
    names of the parameters stay.
    """
    network.compile(fullgraph=True, dynamic=False)
