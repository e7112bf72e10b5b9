"""The actor-critic of a population: trunks, a policy head, a value head, conditioned by genes."""

from __future__ import annotations

import contextlib
import math
from typing import Iterator, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor, nn

from epo.config import NetworkCfg, NormalizerCfg
from epo.models.distribution import DiagonalGaussian, Distribution
from epo.models.normalizer import RunningNormalizer
from epo.models.trunk import Trunk
from epo.ranks import ALONE, Ranks


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


def first_log_std(num_agents: int, initial: float, ladder: float) -> Tensor:
    """Return the log standard deviations [K] that a population begins with.

    Source: ours; the spread is that of PQL's mixed exploration (arXiv 2307.12983), over agents.
    """
    # log s_k = initial + ladder (1 - k / (K - 1)),  k = 0 .. K - 1, the leader last
    if num_agents == 1:
        return torch.full((1,), float(initial))
    return float(initial) + ladder * torch.linspace(1.0, 0.0, num_agents)


class ActorCritic(Trunk):
    """Policy and value of every agent of the population, in one network.

    The trunk is the actor's. The critic shares it, or has one of its own (`algo.network.critic`),
    of the same layers, that reads the observation or the state; the gene conditions both. The
    memory of a critic with an LSTM of its own follows the actor's.
    A population of one has no gene. Rollout, update and relabelling call `forward` alike, in
    the same precision, so that the ratio of fresh data is 1.

    Args:
        observation_dim: O.
        policy_dim: D, numbers that the policy head puts out.
        num_agents: K.
        network: settings of the network.
        normalizer: settings of the normalisers.
        autocast: reduced precision of the trunks' products (`torch.bfloat16`), or None; heads,
            normalisation, the state of the LSTM and everything after them stay float32.
        distribution: what the policy head's numbers mean.
        image_shape: channels, height and width of observations that are flattened images; they
            go through the encoder that `network` names instead of the normaliser.
        state_dim: S, width of the state that an asymmetric critic reads.

    Attributes:
        state_dim: S; 0: the critic reads no state.
        absorbs: the first layers are rescaled when the statistics of their inputs move.
        critic: the critic's own trunk; None: it shares the actor's.

    Source: network of the published Allegro-Kuka runs (SAPG and EPO repositories): shared trunk,
        state-independent log std per agent. Asymmetric: Pinto et al. 2018 (arXiv 1710.06542).
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
        state_dim: int = 0,
    ) -> None:
        gene_dim = network.gene_dim if num_agents > 1 else 0
        super().__init__(observation_dim, gene_dim, network, autocast, image_shape)
        self.distribution: Distribution = distribution or DiagonalGaussian()
        self.observation_dim, self.policy_dim = observation_dim, policy_dim
        self.num_agents = num_agents
        is_asymmetric = network.critic == "asymmetric"
        self.state_dim = state_dim if is_asymmetric else 0
        is_normalized = normalizer.observation and image_shape is None
        self.observation_normalizer = RunningNormalizer(
            observation_dim, normalizer.clip, is_normalized
        )
        self.absorbs = normalizer.timing == "absorbed"
        self.value_normalizer = RunningNormalizer(1, normalizer.clip, normalizer.value)
        self.mean_head = nn.Linear(self.width, policy_dim)
        self.value_head = nn.Linear(self.width, 1)
        log_std = first_log_std(num_agents, network.initial_log_std, network.noise_ladder)
        width_of_std = self.distribution.log_std_width(policy_dim)
        self.log_std = nn.Parameter(log_std[:, None].repeat(1, width_of_std))
        # Drawn last: all other weights are the same with and without genes of equal width.
        self.gene: Optional[nn.Parameter] = None
        if gene_dim:
            self.gene = nn.Parameter(network.gene_std * torch.randn(num_agents, gene_dim))
        self.critic: Optional[Trunk] = None
        self.state_normalizer: Optional[RunningNormalizer] = None
        if is_asymmetric:
            self.critic = Trunk(state_dim, gene_dim, network, autocast)
            self.state_normalizer = RunningNormalizer(
                state_dim, normalizer.clip, normalizer.observation
            )
        elif network.critic == "separate":
            self.critic = Trunk(observation_dim, gene_dim, network, autocast, image_shape)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    @property
    def memory_dim(self) -> int:
        """H, width of the recurrent state, the critic's own included; 0 without LSTM."""
        return sum(trunk.hidden_dim for trunk in self._trunks)

    @property
    def input_normalizers(self) -> List[RunningNormalizer]:
        """Normalisers of the observation and, where the critic reads one, of the state."""
        found = [self.observation_normalizer, self.state_normalizer]
        return [normalizer for normalizer in found if normalizer is not None]

    @property
    def _trunks(self) -> List[Trunk]:
        return [self] if self.critic is None else [self, self.critic]

    def initial_memory(self, num: int) -> Tensor:
        """Return the zero state [2, num, H]."""
        return self.log_std.new_zeros((2, num, self.memory_dim))

    def denormalize_value(self, value: Tensor) -> Tensor:
        """Return normalised values [...] in the unit of scaled rewards."""
        return self.value_normalizer.denormalize(value.unsqueeze(-1)).squeeze(-1)

    def normalize_value(self, value: Tensor) -> Tensor:
        """Return values [...] of scaled rewards in the critic's unit."""
        return self.value_normalizer(value.unsqueeze(-1)).squeeze(-1)

    def see(self, observation: Tensor, state: Optional[Tensor], ranks: Ranks = ALONE) -> None:
        """Add observations [..., O] and states [..., S] to the statistics of the normalisers.

        With `absorbs` the first layers change as well, and what the networks say stays as it is.
        """
        self._see(self.observation_normalizer, observation, ranks)
        if self.state_normalizer is not None and state is not None:
            self._see(self.state_normalizer, state, ranks)

    def _see(self, normalizer: RunningNormalizer, x: Tensor, ranks: Ranks) -> None:
        if not (self.absorbs and normalizer.is_enabled):
            normalizer.update(x, ranks)
            return
        change = normalizer.update_and_compare(x, ranks)
        for trunk in self._trunks:
            has_own = trunk is self.critic and self.state_normalizer is not None
            if normalizer is (self.state_normalizer if has_own else self.observation_normalizer):
                trunk.absorb(change)

    @contextlib.contextmanager
    def fixed_parameters(self) -> Iterator[None]:
        """Compute what depends on parameters alone once: they stay as they are meanwhile."""
        for trunk in self._trunks:
            trunk.fixed = trunk.first_layer(self.gene)
        try:
            yield
        finally:
            for trunk in self._trunks:
                trunk.fixed = None

    def forward(
        self,
        observation: Tensor,
        agent: Tensor,
        memory: Tensor,
        is_first: Tensor,
        state: Optional[Tensor] = None,
    ) -> PolicyOutput:
        """Evaluate B sequences of T steps, each under one agent.

        Args:
            observation: [T, B, O] raw observations.
            agent: [B] int64, whose gene and log std apply.
            memory: [2, B, H] hidden and cell state entering the first step.
            is_first: [T, B] bool, the observation begins an episode: the state is zeroed first.
            state: [T, B, S] raw states, for an asymmetric critic; None: nobody asks for its values,
                which are NaN then.
        """
        x = self.observation_normalizer(observation)
        if self.critic is None:
            acting, memory = self.features(x, self.gene, agent, memory, is_first)
            value = self.value_head(acting).view(is_first.shape)
        else:
            own, others = memory.split([self.hidden_dim, self.critic.hidden_dim], dim=-1)
            acting, own = self.features(x, self.gene, agent, own.contiguous(), is_first)
            if self.state_normalizer is not None:
                x = None if state is None else self.state_normalizer(state)
            if x is None:
                value = torch.full_like(is_first, math.nan, dtype=acting.dtype)
            else:
                others = others.contiguous()
                seeing, others = self.critic.features(x, self.gene, agent, others, is_first)
                value = self.value_head(seeing).view(is_first.shape)
            memory = torch.cat([own, others], dim=-1)
        mean = self.mean_head(acting).unflatten(0, is_first.shape)
        return PolicyOutput(mean, self.log_std[agent], value, memory)
