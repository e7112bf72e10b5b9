"""A trained policy as one step of plain operations, for runtimes that know nothing of epo."""

from __future__ import annotations

import copy
from typing import Dict, Optional, Tuple

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own convention)
from torch import Tensor, nn

from epo.models.actor_critic import ActorCritic
from epo.models.distribution import DiagonalGaussian


class StandalonePolicy(nn.Module):
    """One control step of an agent without noise: normaliser, gene, memory and clamp included.

    The memory is zero where an episode begins; whoever calls keeps it.

    Args:
        model: the population's network; copied, in float32.
        agent: whose gene is part of the weights; None: the gene is an input.

    Raises:
        ValueError: if there is no gene that could be an input.
    """

    mean: Tensor
    scale: Tensor
    gene: Tensor

    def __init__(self, model: ActorCritic, agent: Optional[int]) -> None:
        super().__init__()
        if agent is None and model.gene is None:
            raise ValueError("a population of one has no gene")
        model = copy.deepcopy(model).float()
        normalizer = model.observation_normalizer
        self.clip = normalizer.clip if normalizer.is_enabled else None
        scale = (normalizer.var.float() + normalizer._EPS).rsqrt()
        self.register_buffer("mean", normalizer.mean.float())
        self.register_buffer("scale", scale)
        self.encoder = model.encoder
        self.lstm = model.lstm
        self.norm = None if model.lstm is None else model.norm
        self.mlp = model.mlp
        self.mean_head = model.mean_head
        self.distribution = model.distribution
        self.takes_gene = agent is None
        gene = model.log_std.new_zeros(0) if model.gene is None else model.gene[agent or 0]
        self.register_buffer("gene", gene.detach().clone())
        self.requires_grad_(False)

    @property
    def memory_dim(self) -> int:
        """H, width of hidden and cell state; 0: there is no memory."""
        return self.lstm.hidden_size if self.lstm is not None else 0

    def forward(
        self,
        observation: Tensor,
        hidden: Optional[Tensor] = None,
        cell: Optional[Tensor] = None,
        gene: Optional[Tensor] = None,
    ) -> Tuple[Tensor, ...]:
        """Return the action and the memory of the next step.

        Args:
            observation: [B, O] raw, as the task gives it.
            hidden: [B, H] state of the LSTM; only with one.
            cell: [B, H] state of the LSTM; only with one.
            gene: [B, G]; only if it is an input.

        Returns:
            action [B, A] in [-1, 1], or the index of each choice; with an LSTM hidden and cell.
        """
        x = observation
        if self.clip is not None:
            x = ((x - self.mean) * self.scale).clamp(-self.clip, self.clip)
        if self.encoder is not None:
            x = self.encoder(x)
        if gene is None:
            gene = self.gene.expand(x.shape[0], -1)
        x = torch.cat([x, gene], dim=-1)
        memory: Tuple[Tensor, ...] = ()
        if self.lstm is not None:
            assert self.norm is not None and hidden is not None and cell is not None
            memory = self._remember(self.lstm, x, hidden, cell)
            x = self.norm(memory[0])
        for layer in self.mlp:
            x = F.elu(layer(x))
        action = self.distribution.mode(self.mean_head(x))
        if isinstance(self.distribution, DiagonalGaussian):
            action = action.clamp(-1.0, 1.0)
        return (action, *memory)

    def start(self, observation: Tensor) -> Dict[str, Tensor]:
        """Return the inputs of an episode's first step by name, its memory empty.

        Args:
            observation: [B, O].
        """
        inputs = {"observation": observation}
        for name in ("hidden", "cell") if self.lstm is not None else ():
            inputs[name] = observation.new_zeros(len(observation), self.memory_dim)
        if self.takes_gene:
            inputs["gene"] = self.gene.expand(len(observation), -1).clone()
        return inputs

    def _remember(
        self, lstm: nn.LSTMCell, x: Tensor, hidden: Tensor, cell: Tensor
    ) -> Tuple[Tensor, Tensor]:
        """Return the new hidden and cell state [B, H]."""
        # i, f, g, o = W_x x + W_h h + b;  c' = s(f) c + s(i) tanh(g);  h' = s(o) tanh(c')
        sums = F.linear(x, lstm.weight_ih, lstm.bias_ih + lstm.bias_hh)
        enter, forget, new, output = (sums + F.linear(hidden, lstm.weight_hh)).chunk(4, dim=-1)
        cell = forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
        return output.sigmoid() * cell.tanh(), cell
