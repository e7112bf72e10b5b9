"""The shared actor-critic: one trunk, a policy head, a value head, conditioned by genes."""

from __future__ import annotations

import contextlib
from typing import ContextManager, Iterator, List, NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own convention)
from torch import Tensor, nn

from epo.config import NetworkCfg, NormalizerCfg
from epo.models.distribution import DiagonalGaussian, Distribution
from epo.models.encoder import ImageEncoder
from epo.models.lstm import joined_weight, lstm
from epo.models.normalizer import RunningNormalizer


class PolicyOutput(NamedTuple):
    """One forward pass over B sequences of T steps.

    Attributes:
        mean: [T, B, D] mean of the action, or logits.
        log_std: [B, D] log standard deviation of each sequence's agent, or [B, 0].
        value: [T, B] normalised value.
        memory: [2, B, H] LSTM hidden and cell state after the last step.
    """

    mean: Tensor
    log_std: Tensor
    value: Tensor
    memory: Tensor


class _FirstLayer(NamedTuple):
    """What the first layer does with x, the normalised observation or the features of an image.

    Attributes:
        weight: [units, width of x]; of an LSTM the joined one [4, H, W].
        bias: [K, units] of each agent, without genes [units]; None: it is part of the weight.
    """

    weight: Tensor
    bias: Optional[Tensor]


def first_log_std(num_agents: int, initial: float, ladder: float) -> Tensor:
    """Return the log standard deviations [K] that a population begins with.

    Source: ours; the spread is that of PQL's mixed exploration (arXiv 2307.12983), over agents.
    """
    # log s_k = initial + ladder (1 - k / (K - 1)),  k = 0 .. K - 1, the leader last
    if num_agents == 1:
        return torch.full((1,), float(initial))
    return float(initial) + ladder * torch.linspace(1.0, 0.0, num_agents)


class ActorCritic(nn.Module):
    """Policy and value of every agent of the population, in one network.

    The gene of an agent is appended to the normalised observation, or to the features of an
    image. As it is constant over a sequence, its product with the first layer is computed once per
    agent and added as a bias.
    A population of one has no gene. Rollout, update and relabelling call `forward` alike, in
    the same precision, so that the ratio of fresh data is 1.

    Args:
        observation_dim: O.
        policy_dim: D, numbers that the policy head puts out.
        num_agents: K.
        network: settings of the network.
        normalizer: settings of the normalisers.
        autocast: reduced precision of the trunk's products (`torch.bfloat16`), or None; heads,
            normalisation, the state of the LSTM and everything after them stay float32.
        distribution: what the policy head's numbers mean.
        image_shape: channels, height and width of observations that are flattened images; they
            go through the encoder that `network` names instead of the normaliser.

    Source: network of the published Allegro-Kuka runs (SAPG and EPO repositories): LSTM before
        the MLP, layer norm between, ELU, shared trunk, state-independent log std per agent.
    """

    def __init__(
        self,
        observation_dim: int,
        policy_dim: int,
        num_agents: int,
        network: NetworkCfg,
        normalizer: NormalizerCfg,
        autocast: Optional[torch.dtype] = None,
        distribution: Optional[Distribution] = None,
        image_shape: Optional[Tuple[int, int, int]] = None,
    ) -> None:
        super().__init__()
        self.distribution: Distribution = distribution or DiagonalGaussian()
        self.observation_dim, self.policy_dim = observation_dim, policy_dim
        self.num_agents = num_agents
        self.autocast = autocast
        is_normalized = normalizer.observation and image_shape is None
        self.observation_normalizer = RunningNormalizer(
            observation_dim, normalizer.clip, is_normalized
        )
        self.value_normalizer = RunningNormalizer(1, normalizer.clip, normalizer.value)

        self.encoder: Optional[ImageEncoder] = None
        if image_shape is not None:
            self.encoder = ImageEncoder(image_shape, network.cnn_channels)
        gene_dim = network.gene_dim if num_agents > 1 else 0
        width = (self.encoder.width if self.encoder else observation_dim) + gene_dim
        self.lstm: Optional[nn.LSTMCell] = None
        if network.kind == "lstm":
            self.lstm = nn.LSTMCell(width, network.lstm_units)
            self.norm = nn.LayerNorm(network.lstm_units)
            width = network.lstm_units
        self.mlp = nn.ModuleList()
        for units in network.mlp_units:
            self.mlp.append(nn.Linear(width, units))
            width = units
        self.mean_head = nn.Linear(width, policy_dim)
        self.value_head = nn.Linear(width, 1)
        log_std = first_log_std(num_agents, network.initial_log_std, network.noise_ladder)
        width_of_std = self.distribution.log_std_width(policy_dim)
        self.log_std = nn.Parameter(log_std[:, None].repeat(1, width_of_std))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        # Drawn last: all other weights are the same with and without genes of equal width.
        self.gene: Optional[nn.Parameter] = None
        if gene_dim:
            self.gene = nn.Parameter(network.gene_std * torch.randn(num_agents, gene_dim))
        self._fixed: Optional[_FirstLayer] = None

    @property
    def memory_dim(self) -> int:
        """H, width of the recurrent state; 0 without LSTM."""
        return self.lstm.hidden_size if self.lstm is not None else 0

    def initial_memory(self, num: int) -> Tensor:
        """Return the zero state [2, num, H]."""
        return self.log_std.new_zeros((2, num, self.memory_dim))

    def denormalize_value(self, value: Tensor) -> Tensor:
        """Return normalised values [...] in the unit of scaled rewards."""
        return self.value_normalizer.denormalize(value.unsqueeze(-1)).squeeze(-1)

    def normalize_value(self, value: Tensor) -> Tensor:
        """Return values [...] of scaled rewards in the critic's unit."""
        return self.value_normalizer(value.unsqueeze(-1)).squeeze(-1)

    @contextlib.contextmanager
    def fixed_parameters(self) -> Iterator[None]:
        """Compute what depends on parameters alone once: they stay as they are meanwhile."""
        self._fixed = self._first_layer()
        try:
            yield
        finally:
            self._fixed = None

    def forward(
        self, observation: Tensor, agent: Tensor, memory: Tensor, is_first: Tensor
    ) -> PolicyOutput:
        """Evaluate B sequences of T steps, each under one agent.

        Args:
            observation: [T, B, O] raw observations.
            agent: [B] int64, whose gene and log std apply.
            memory: [2, B, H] hidden and cell state entering the first step.
            is_first: [T, B] bool, the observation begins an episode: the state is zeroed first.
        """
        x = self.observation_normalizer(observation)
        with self._precision(x.device):
            if self.encoder is not None:
                x = self.encoder(x)
            layers: List[nn.Module] = list(self.mlp)
            weight, bias = self._fixed or self._first_layer()
            if self.gene is not None and bias is not None:
                bias = bias[agent]  # [K, units] -> [B, units]
            if self.lstm is not None:
                x, memory = lstm(x, memory, is_first, weight, bias)
                x = self.norm(x).flatten(0, 1)
            else:
                del layers[0]
                assert bias is not None
                bias = bias if self.gene is None else bias.repeat(len(x), 1)  # [T B, units]
                x = F.elu(torch.addmm(bias, x.flatten(0, 1), weight.t()), inplace=True)
            # Rows, for linear layers of three axes give views: `inplace` would copy gradients.
            for layer in layers:
                x = F.elu(layer(x), inplace=True)
        x = x.to(self.log_std.dtype)
        mean = self.mean_head(x).unflatten(0, is_first.shape)
        value = self.value_head(x).view(is_first.shape)
        return PolicyOutput(mean, self.log_std[agent], value, memory)

    def _precision(self, device: torch.device) -> ContextManager[object]:
        if self.autocast is None:
            return contextlib.nullcontext()
        return torch.autocast(device.type, dtype=self.autocast)

    def _first_layer(self) -> _FirstLayer:
        """Split the first layer of [x, gene]: what multiplies x, and what a gene adds to it."""
        first = self.mlp[0] if self.lstm is None else self.lstm
        if isinstance(first, nn.LSTMCell):
            weight, bias = first.weight_ih, first.bias_ih + first.bias_hh
        else:
            assert isinstance(first, nn.Linear)
            weight, bias = first.weight, first.bias
        if self.gene is not None:
            gene_dim = self.gene.shape[1]
            weight, of_gene = weight.split([weight.shape[1] - gene_dim, gene_dim], dim=1)
            with self._precision(weight.device):
                bias = F.linear(self.gene, of_gene, bias)
        if self.lstm is None:
            return _FirstLayer(weight, bias)
        recurrent, dtype = self.lstm.weight_hh, self.autocast
        if self.gene is None:
            return _FirstLayer(joined_weight(weight, recurrent, bias, dtype=dtype), None)
        return _FirstLayer(joined_weight(weight, recurrent, dtype=dtype), bias)
