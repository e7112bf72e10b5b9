"""Genes outside of a run: a file of them, and how they take the place of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping, NamedTuple

import torch
from torch import Tensor

from epo.config import ConfigError
from epo.models.actor_critic import ActorCritic
from epo.runner.loop import Loop

GENE, LOG_STD = "gene", "log_std"
"""Names of the tensors in a file, as in the network that they are from."""


class GeneBank(NamedTuple):
    """Genes of M agents.

    Attributes:
        genes: [M, G].
        log_std: [M, D] log standard deviations of their actions, or [M, 0].
    """

    genes: Tensor
    log_std: Tensor


def bank_of(state: Mapping[str, Any], path: Path) -> GeneBank:
    """Take the genes out of a checkpoint.

    Raises:
        ConfigError: if its agents have none.
    """
    model = state.get("model")
    if not isinstance(model, Mapping) or GENE not in model:
        way_out = "its agents have no genes; use a run of several agents that share a network"
        raise ConfigError("run", path, f"{way_out} (algo=sapg, epo)")
    return GeneBank(model[GENE].detach().cpu(), model[LOG_STD].detach().cpu())


def with_bank(state: Mapping[str, Any], bank: GeneBank) -> Dict[str, Any]:
    """Return a checkpoint whose population is `bank`; everything else is shared."""
    model = {**state["model"], GENE: bank.genes, LOG_STD: bank.log_std}
    return {**state, "model": model}


def save(path: Path, bank: GeneBank, about: Mapping[str, str]) -> None:
    """Write a file of genes (safetensors).

    Args:
        path: of the file.
        bank: what is written.
        about: where the genes are from, as text.

    Raises:
        ConfigError: if the package is missing or the file cannot be written.
    """
    from epo.record.files import atomic_write

    tensors = {GENE: bank.genes.contiguous(), LOG_STD: bank.log_std.contiguous()}
    content = _safetensors("export", path).save(tensors, metadata=dict(about))
    try:
        with atomic_write(path) as file:
            file.write(content)
    except OSError as error:
        way_out = f"cannot be written ({error.strerror}); choose another out=<file>.safetensors"
        raise ConfigError("out", path, way_out) from error


def load(path: Path) -> GeneBank:
    """Read a file of genes.

    Raises:
        ConfigError: if the package is missing, or the file is no file of genes.
    """
    package = _safetensors("genes", path)
    try:
        tensors = package.load(path.read_bytes())
        bank = GeneBank(tensors[GENE].float(), tensors[LOG_STD].float())
        is_sound = bank.genes.ndim == 2 and len(bank.genes) == len(bank.log_std)
    except Exception as error:  # whatever a file of another kind lets the parser raise
        reason = " ".join(str(error).split())[:80]
        way_out = f"no file of genes ({reason}); write one: python -m epo genes RUN export=all"
        raise ConfigError("genes", path, way_out) from error
    if not is_sound or not all(torch.isfinite(tensor).all() for tensor in bank):
        way_out = "holds no finite genes [M, G] with their noise; export them again"
        raise ConfigError("genes", path, way_out)
    return bank


@torch.no_grad()
def transplant(loop: Loop, path: Path) -> None:
    """Give the agents of a new run the genes of a file.

    The noise of the actions goes with them where it is of as many components.

    Raises:
        ConfigError: if the agents have no genes, or others in number or length.
    """
    bank = load(path)
    model = getattr(loop, "model", None)
    if not isinstance(model, ActorCritic) or model.gene is None:
        way_out = "this run's agents have no genes; use several agents that share a network"
        raise ConfigError("genes", path, f"{way_out} (algo=sapg, epo), or leave it out")
    (num, length), (num_agents, own) = bank.genes.shape, model.gene.shape
    if num != num_agents:
        raise ConfigError("genes", path, f"holds {num} genes, this run has {num_agents} agents; "
                          f"use num_agents={num}, or export as many")  # fmt: skip
    if length != own:
        way_out = f"use algo.network.gene_dim={length}"
        raise ConfigError("genes", path, f"its genes are {length} long, here {own}; {way_out}")
    model.gene.copy_(bank.genes)
    if bank.log_std.shape == model.log_std.shape:
        model.log_std.copy_(bank.log_std)


def _safetensors(setting: str, value: object) -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        way_out = "safetensors is missing: pip install 'epo[export]'"
        raise ConfigError(setting, value, way_out) from error
    return safetensors.torch
