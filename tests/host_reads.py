"""What makes the host wait for the device, counted."""

from __future__ import annotations

from collections import Counter

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

# Ways from a tensor to the host.
METHODS = ["item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__"]
# A value read, or a result whose shape depends on values; so does indexing by a mask.
OPERATORS = ["_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero"]


class HostMethods(TorchFunctionMode):
    """Count the methods of tensors that make the host wait, as called from Python."""

    def __init__(self):
        super().__init__()
        self.counts: Counter = Counter()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        if name in METHODS:
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


class HostOperators(TorchDispatchMode):
    """Count the operators that make the host wait.

    Reads inside of a torch kernel are not seen: on the CPU fused Adam and `var` read scalars of
    their own, which their CUDA kernels do not.
    """

    def __init__(self):
        super().__init__()
        self.counts: Counter = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in OPERATORS:
            self.counts[name] += 1
        if name in ("index", "index_put", "index_put_"):
            is_mask = [i is not None and i.dtype == torch.bool for i in args[1]]
            self.counts["mask"] += any(is_mask)
        return func(*args, **(kwargs or {}))


def host_reads(work):
    with HostMethods() as methods, HostOperators() as operators:
        work()
    return methods.counts + operators.counts
