"""Networks of parallel Q-learning: a policy, two critics side by side, one normaliser for all."""

from __future__ import annotations

import copy
import math
from typing import List, Sequence

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own convention)
from torch import Tensor, nn

from epo.config import NormalizerCfg
from epo.models.normalizer import RunningNormalizer

NUM_HEADS = 2
"""Critics, of which the lesser value counts."""


class Actor(nn.Module):
    """Deterministic policy: normalised observation [B, O] to action [B, A] in [-1, 1].

    Args:
        observation_dim: O.
        action_dim: A.
        units: widths of the ELU layers.
    """

    def __init__(self, observation_dim: int, action_dim: int, units: Sequence[int]) -> None:
        super().__init__()
        layers: List[nn.Module] = []
        width = observation_dim
        for num in units:
            layers += [nn.Linear(width, num), nn.ELU()]
            width = num
        self.layers = nn.Sequential(*layers, nn.Linear(width, action_dim))

    def forward(self, observation: Tensor) -> Tensor:
        """Return the action without noise."""
        return self.layers(observation).tanh()


class StackedLinear(nn.Module):
    """Independent linear layers of equal size, evaluated in one product.

    Args:
        num: H, layers.
        in_features: inputs of each layer.
        out_features: outputs of each layer.
    """

    def __init__(self, num: int, in_features: int, out_features: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(in_features)  # as nn.Linear
        self.weight = nn.Parameter(
            torch.empty(num, in_features, out_features).uniform_(-bound, bound)
        )
        self.bias = nn.Parameter(torch.empty(num, 1, out_features).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Map [H, B, in_features] to [H, B, out_features]."""
        return torch.baddbmm(self.bias, x, self.weight)


class Critic(nn.Module):
    """Two critics: normalised observation [B, O] and action [B, A] to D numbers each.

    Args:
        observation_dim: O.
        action_dim: A.
        units: widths of the ELU layers.
        width: D, numbers that the critic's head asks for.
    """

    def __init__(
        self, observation_dim: int, action_dim: int, units: Sequence[int], width: int
    ) -> None:
        super().__init__()
        widths = [observation_dim + action_dim, *units, width]
        self.layers = nn.ModuleList(
            StackedLinear(NUM_HEADS, before, after) for before, after in zip(widths, widths[1:])
        )

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        """Return the heads' numbers [2, B, D]."""
        x = torch.cat([observation, action], dim=-1).expand(NUM_HEADS, -1, -1)
        *hidden, last = self.layers
        for layer in hidden:
            x = F.elu(layer(x))
        return last(x)


class Networks(nn.Module):
    """Everything with weights or statistics; the target critic begins as a copy of the critic.

    Acting and learning normalise with the same statistics and the same clamp.

    Args:
        observation_dim: O.
        action_dim: A.
        units: widths of the ELU layers of every network.
        critic_width: D, numbers that the critic's head asks for.
        normalizer: settings of the observation normaliser.
    """

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        units: Sequence[int],
        critic_width: int,
        normalizer: NormalizerCfg,
    ) -> None:
        super().__init__()
        self.normalizer = RunningNormalizer(
            observation_dim, normalizer.clip, normalizer.observation
        )
        self.actor = Actor(observation_dim, action_dim, units)
        self.critic = Critic(observation_dim, action_dim, units, critic_width)
        self.target_critic = copy.deepcopy(self.critic).requires_grad_(False)

    @torch.no_grad()
    def act(self, observation: Tensor) -> Tensor:
        """Return the actions [B, A] for raw observations [B, O], without noise."""
        return self.actor(self.normalizer(observation))

    @torch.no_grad()
    def follow(self, rate: float) -> None:
        """Move the target critic towards the critic by the share `rate` of the way."""
        for target, source in zip(self.target_critic.parameters(), self.critic.parameters()):
            target.lerp_(source, rate)
