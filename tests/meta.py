"""Whole iterations on torch's meta device: tensors without data show what would stall a GPU.

Every read of a value raises there: `.item()`, `nonzero`, an index by a mask, a copy to the host,
and so does an operation on tensors of two devices. `NoUploads` also refuses copies from the host.
What the meta device cannot do itself is stood in for here: generators, fused optimizers, and the
one transfer of an iteration, whose numbers are made up.
"""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any, Callable, Dict, Iterator

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from epo.population import Fitness
from epo.runner.snapshot import Snapshot, pack

META = torch.device("meta")


class MetaGenerator(torch.Generator):
    """A generator that says it lives on the meta device."""

    _place: torch.device

    def __new__(cls, device: Any = "cpu") -> MetaGenerator:
        generator = super().__new__(cls)
        generator._place = torch.device(device)
        return generator

    @property
    def device(self) -> torch.device:
        return self._place


def _plain(optimizer: Any) -> Callable[..., torch.optim.Optimizer]:
    """Build an optimizer without the fused kernel, which has no meta variant.

    The plain one takes its step size and its step count from the host.
    """

    def build(parameters: Any, lr: Any, fused: bool, **settings: Any) -> torch.optim.Optimizer:
        return optimizer(parameters, lr=1e-3, foreach=False, **settings)

    return build


class _TorchOnMeta(ModuleType):
    """torch, but for its generators and fused optimizers."""

    Generator = MetaGenerator
    optim = SimpleNamespace(Adam=_plain(torch.optim.Adam), AdamW=_plain(torch.optim.AdamW))

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def allow_meta(patch: Any) -> None:
    """Let modules of `epo` and `tasks` draw and optimise on the meta device; `patch` undoes it."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("epo", "tasks") and getattr(module, "torch", None) is torch:
            patch.setattr(module, "torch", _TorchOnMeta("torch"))


def made_up_transfer(
    metrics: Dict[str, Tensor],
    scalars: Dict[str, Tensor],
    fitness: Fitness,
    blocks: Dict[str, Tensor],
    to_host: Callable[[Tensor], Tensor] = Tensor.cpu,
) -> Snapshot:
    """Stand in for `transfer`: pack on the device, and make up what arrives.

    Agent k has fitness k, known exactly; all else is 0.
    """
    packed = pack(metrics, scalars, fitness, blocks)
    num_agents = len(fitness.fitness)
    num_values = len(metrics) + len(scalars) + (4 + len(blocks)) * num_agents
    assert packed.is_meta and packed.shape == (num_values,)
    ladder = torch.arange(float(num_agents), dtype=torch.float64)
    zero = torch.zeros_like(ladder)
    return Snapshot(
        metrics=dict.fromkeys(metrics, 0.0),
        scalars=dict.fromkeys(scalars, 0.0),
        fitness=Fitness(ladder, zero, zero + 2.0, zero == 0.0),
        blocks=dict.fromkeys(blocks, ladder),
    )


class NoUploads(TorchFunctionMode):
    """Refuse copies from the host to the meta device: they wait for the device, too."""

    def __init__(self) -> None:
        super().__init__()
        self._copies = _Copies()

    def __enter__(self) -> NoUploads:
        self._copies.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        self._copies.__exit__(*exception)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        # Data of Python's, which the operators below do not see.
        if func in (torch.tensor, torch.as_tensor) and result.is_meta:
            raise AssertionError(f"{func.__name__}({args}) copies from the host")
        return result


class _Copies(TorchDispatchMode):
    """The operators that copy between devices."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in ("_to_copy", "copy_"):
            source = [x for x in args if isinstance(x, Tensor)][-1]
            if result.is_meta and not source.is_meta:
                raise AssertionError(f"{func} of {tuple(source.shape)} copies from the host")
        return result


def meta_tensors(value: Any) -> Iterator[bool]:
    """Tell of every tensor in nested containers whether it is on the meta device."""
    if isinstance(value, Tensor):
        yield value.is_meta
    elif isinstance(value, dict):
        for item in value.values():
            yield from meta_tensors(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from meta_tensors(item)
