"""What actor and critic are made of before their heads: encoder, LSTM, layers, genes as a bias."""

from __future__ import annotations

import contextlib
from typing import ContextManager, List, NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own convention)
from torch import Tensor, nn

from epo.config import NetworkCfg
from epo.models.encoder import ImageEncoder
from epo.models.lstm import joined_weight, lstm
from epo.models.normalizer import Change


class FirstLayer(NamedTuple):
    """What the first layer does with x, the normalised input or the features of an image.

    Attributes:
        weight: [units, width of x]; of an LSTM the joined one [4, H, W].
        bias: [K, units] of each agent, without genes [units]; None: it is part of the weight.
    """

    weight: Tensor
    bias: Optional[Tensor]


class Trunk(nn.Module):
    """The layers below a head.

    The gene of an agent is appended to the normalised input, or to the features of an image. As it
    is constant over a sequence, its product with the first layer is computed once per agent and
    added as a bias.

    Args:
        input_dim: width of the input.
        gene_dim: G; 0: no genes.
        network: settings of the network.
        autocast: reduced precision of the products (`torch.bfloat16`), or None; normalisation and
            the state of the LSTM stay float32.
        image_shape: channels, height and width of inputs that are flattened images; they go
            through the encoder that `network` names.

    Attributes:
        width: W, of the features.

    Source: network of the published Allegro-Kuka runs (SAPG and EPO repositories): LSTM before
        the MLP, layer norm between, ELU.
    """

    def __init__(
        self,
        input_dim: int,
        gene_dim: int,
        network: NetworkCfg,
        autocast: Optional[torch.dtype] = None,
        image_shape: Optional[Tuple[int, int, int]] = None,
    ) -> None:
        super().__init__()
        self.autocast = autocast
        self.encoder: Optional[ImageEncoder] = None
        if image_shape is not None:
            self.encoder = ImageEncoder(image_shape, network.cnn_channels)
        width = (self.encoder.width if self.encoder else input_dim) + gene_dim
        self.lstm: Optional[nn.LSTMCell] = None
        if network.kind == "lstm":
            self.lstm = nn.LSTMCell(width, network.lstm_units)
            self.norm = nn.LayerNorm(network.lstm_units)
            width = network.lstm_units
        self.mlp = nn.ModuleList()
        for units in network.mlp_units:
            self.mlp.append(nn.Linear(width, units))
            width = units
        self.width = width
        self.fixed: Optional[FirstLayer] = None

    @property
    def hidden_dim(self) -> int:
        """Width of the LSTM's state; 0 without LSTM."""
        return self.lstm.hidden_size if self.lstm is not None else 0

    def features(
        self, x: Tensor, gene: Optional[Tensor], agent: Tensor, memory: Tensor, is_first: Tensor
    ) -> Tuple[Tensor, Tensor]:
        """Evaluate B sequences of T steps, each under one agent.

        Args:
            x: [T, B, I] normalised inputs.
            gene: [K, G] of all agents, or None.
            agent: [B] int64, whose gene applies.
            memory: [2, B, H] hidden and cell state entering the first step.
            is_first: [T, B] bool, the input begins an episode: the state is zeroed first.

        Returns:
            features [T B, W] and the memory [2, B, H] after the last step.
        """
        dtype = memory.dtype  # that of the parameters
        with self._precision(x.device):
            if self.encoder is not None:
                x = self.encoder(x)
            layers: List[nn.Module] = list(self.mlp)
            weight, bias = self.fixed or self.first_layer(gene)
            if gene is not None and bias is not None:
                bias = bias[agent]  # [K, units] -> [B, units]
            if self.lstm is not None:
                x, memory = lstm(x, memory, is_first, weight, bias)
                x = self.norm(x).flatten(0, 1)
            else:
                del layers[0]
                assert bias is not None
                bias = bias if gene is None else bias.repeat(len(x), 1)  # [T B, units]
                x = F.elu(torch.addmm(bias, x.flatten(0, 1), weight.t()), inplace=True)
            # Rows, for linear layers of three axes give views: `inplace` would copy gradients.
            for layer in layers:
                x = F.elu(layer(x), inplace=True)
        return x.to(dtype), memory

    def first_layer(self, gene: Optional[Tensor]) -> FirstLayer:
        """Split the first layer of [x, gene]: what multiplies x, and what a gene adds to it."""
        first = self.mlp[0] if self.lstm is None else self.lstm
        if isinstance(first, nn.LSTMCell):
            weight, bias = first.weight_ih, first.bias_ih + first.bias_hh
        else:
            assert isinstance(first, nn.Linear)
            weight, bias = first.weight, first.bias
        if gene is not None:
            gene_dim = gene.shape[1]
            weight, of_gene = weight.split([weight.shape[1] - gene_dim, gene_dim], dim=1)
            with self._precision(weight.device):
                bias = F.linear(gene, of_gene, bias)
        if self.lstm is None:
            return FirstLayer(weight, bias)
        recurrent, dtype = self.lstm.weight_hh, self.autocast
        if gene is None:
            return FirstLayer(joined_weight(weight, recurrent, bias, dtype=dtype), None)
        return FirstLayer(joined_weight(weight, recurrent, dtype=dtype), bias)

    @torch.no_grad()
    def absorb(self, change: Change) -> None:
        """Rescale the first layer so that its output stays as it is when the statistics move.

        Where the input is clamped now or was before, that holds only roughly. The optimiser's
        moments stay as they are.

        Source: Pop-Art (van Hasselt et al. 2016, arXiv 1602.07714), which does it for the last
            layer of a critic whose targets are normalised.
        """
        first = self.mlp[0] if self.lstm is None else self.lstm
        if isinstance(first, nn.LSTMCell):
            weight, bias = first.weight_ih, first.bias_ih
        else:
            assert isinstance(first, nn.Linear)
            weight, bias = first.weight, first.bias
        columns = weight[:, : len(change.ratio)]  # the rest multiplies the gene
        ratio, shift = change.ratio.to(weight.dtype), change.shift.to(weight.dtype)
        # W x + b = W (r x' + d) + b = (W r) x' + (b + W d)
        bias += columns @ shift
        columns *= ratio

    def _precision(self, device: torch.device) -> ContextManager[object]:
        if self.autocast is None:
            return contextlib.nullcontext()
        return torch.autocast(device.type, dtype=self.autocast)
