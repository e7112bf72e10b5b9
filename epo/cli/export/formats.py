"""File formats of a policy: how each is written, and how its own runtime runs it again."""

from __future__ import annotations

import importlib.util
import inspect
import logging
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Tuple

import numpy as np
import torch
from torch import Tensor, nn

from epo.config import ConfigError

Inputs = Dict[str, Tensor]
Step = Callable[[Dict[str, np.ndarray]], List[np.ndarray]]
"""One control step: inputs by name -> action, then what of the memory there is."""
BATCH = "batch"
"""Name of the axis that may have any length."""


class Format(NamedTuple):
    """One way to write a policy.

    Attributes:
        suffix: of the file.
        packages: that writing or running it needs, besides torch.
        write: module, example inputs, names of outputs, file.
        load: file -> what runs it.
    """

    suffix: str
    packages: Tuple[str, ...]
    write: Callable[[nn.Module, Inputs, List[str], Path], None]
    load: Callable[[Path], Step]


def check_packages(name: str) -> None:
    """Refuse a format whose packages are not here.

    Raises:
        ConfigError: naming the first, with the way out.
    """
    for package in FORMATS[name].packages:
        if importlib.util.find_spec(package) is None:
            way_out = f"{package} is missing: pip install 'epo[export]', or format=torchscript"
            raise ConfigError("format", name, way_out)
    if name == "onnx" and "dynamo" not in inspect.signature(torch.onnx.export).parameters:
        way_out = f"torch {torch.__version__} is too old; use torch 2.6, or format=torchscript"
        raise ConfigError("format", name, way_out)


def _write_onnx(module: nn.Module, inputs: Inputs, outputs: List[str], path: Path) -> None:
    with _quiet():
        torch.onnx.export(
            module,
            kwargs=dict(inputs),
            f=str(path),
            input_names=list(inputs),
            output_names=outputs,
            dynamic_shapes=_dynamic(inputs),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _load_onnx(path: Path) -> Step:
    import onnxruntime  # pyright: ignore[reportMissingImports]

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda inputs: [np.asarray(output) for output in session.run(None, inputs)]


def _write_torchscript(module: nn.Module, inputs: Inputs, outputs: List[str], path: Path) -> None:
    with _quiet():
        traced = torch.jit.trace(module, example_kwarg_inputs=dict(inputs))
        torch.jit.save(traced, str(path))  # pyright: ignore[reportArgumentType]


def _load_torchscript(path: Path) -> Step:
    with _quiet():
        return _of_tensors(torch.jit.load(str(path)))


def _write_torch_export(module: nn.Module, inputs: Inputs, outputs: List[str], path: Path) -> None:
    with _quiet():
        program = torch.export.export(module, (), dict(inputs), dynamic_shapes=_dynamic(inputs))
        torch.export.save(program, str(path))


def _load_torch_export(path: Path) -> Step:
    return _of_tensors(torch.export.load(str(path)).module())


FORMATS: Dict[str, Format] = {
    "onnx": Format(".onnx", ("onnx", "onnxscript", "onnxruntime"), _write_onnx, _load_onnx),
    "torchscript": Format(".pt", (), _write_torchscript, _load_torchscript),
    "torch_export": Format(".pt2", (), _write_torch_export, _load_torch_export),
}
"""Choices of `format`."""


def _of_tensors(module: Any) -> Step:
    """Let a module of tensors take and give arrays."""

    def step(inputs: Dict[str, np.ndarray]) -> List[np.ndarray]:
        with torch.no_grad():
            outputs = module(**{name: torch.from_numpy(x) for name, x in inputs.items()})
        return [output.numpy() for output in outputs]

    return step


def _dynamic(inputs: Inputs) -> Dict[str, Dict[int, Any]]:
    batch = torch.export.Dim(BATCH, min=1, max=2**20)
    return {name: {0: batch} for name in inputs}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' notes about their own future from the user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
